use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Args, Command};

use super::DONE;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;

/// Print the manual
///
/// The page of strongroom itself, or with --dir one page for each command, or with
/// --markdown the whole reference as the book has it.
///
/// Example: strongroom man | man -l -
#[derive(Debug, Args)]
pub struct Man {
    /// Write every page into DIR
    #[arg(long, value_name = "DIR", conflicts_with = "markdown")]
    dir: Option<PathBuf>,
    /// Print the reference of all commands as Markdown
    #[arg(long)]
    markdown: bool,
}

impl Man {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let mut command = crate::cli::command();
        command.build();
        if self.markdown {
            ctx.ui.data(markdown(&command).as_bytes())?;
            return DONE;
        }
        match &self.dir {
            None => {
                let page =
                    page(command).map_err(|e| CommandError::from_error(Exit::Unexpected, e))?;
                ctx.ui.data(&page)?;
            }
            Some(dir) => {
                std::fs::create_dir_all(dir).map_err(|e| failed(dir, &e))?;
                let mut count = 0;
                write_pages(&command, "strongroom", dir, &mut count)?;
                ctx.ui
                    .status(&format!("Wrote {count} pages to {}", dir.display()));
            }
        }
        DONE
    }
}

fn page(command: Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(page)
}

/// Writes a command's page and those below it: `strongroom-remote-add.1`.
fn write_pages(
    command: &Command,
    name: &str,
    dir: &Path,
    count: &mut usize,
) -> Result<(), CommandError> {
    let path = dir.join(format!("{name}.1"));
    page(command.clone())
        .and_then(|page| std::fs::write(&path, page))
        .map_err(|e| failed(&path, &e))?;
    *count += 1;
    for below in visible(command) {
        write_pages(below, &format!("{name}-{}", below.get_name()), dir, count)?;
    }
    Ok(())
}

fn failed(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::new(Exit::Unexpected, format!("{}: {error}", path.display()))
}

/// The commands below one that people may know of.
fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|c| !c.is_hide_set() && c.get_name() != "help")
}

/// The reference of every command, for the book.
fn markdown(root: &Command) -> String {
    let mut text = String::from(
        "# Commands\n\n<!-- Made by `strongroom man --markdown`; edit the program instead. -->\n\n",
    );
    text.push_str(&paragraphs(root));
    if let Some(help) = root.get_after_help() {
        text.push_str(&format!("{}\n\n", escape(&help.to_string())));
    }
    text.push_str("## Global options\n\nEvery command takes these.\n\n");
    let globals: Vec<&Arg> = root.get_arguments().filter(|a| a.is_global_set()).collect();
    text.push_str(&table(&globals));
    for command in visible(root) {
        section(command, "strongroom", 2, &mut text);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn section(command: &Command, above: &str, depth: usize, text: &mut String) {
    let name = format!("{above} {}", command.get_name());
    text.push_str(&format!("{} {name}\n\n", "#".repeat(depth)));
    text.push_str(&paragraphs(command));
    let aliases: Vec<String> = command
        .get_visible_aliases()
        .map(|alias| format!("`{above} {alias}`"))
        .collect();
    if !aliases.is_empty() {
        text.push_str(&format!("Also: {}.\n\n", aliases.join(", ")));
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage);
    text.push_str(&format!("```text\n{usage}\n```\n\n"));
    let shown = |a: &&Arg| {
        !a.is_global_set()
            && !a.is_hide_set()
            && !["help", "version"].contains(&a.get_id().as_str())
    };
    let arguments: Vec<&Arg> = command.get_arguments().filter(shown).collect();
    if !arguments.is_empty() {
        text.push_str(&table(&arguments));
    }
    for below in visible(command) {
        section(below, &name, depth + 1, text);
    }
}

/// The long description, a paragraph at a time; examples as code.
fn paragraphs(command: &Command) -> String {
    let about = command.get_long_about().or_else(|| command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let mut text = String::new();
    for paragraph in about.split("\n\n").filter(|p| !p.trim().is_empty()) {
        match paragraph.strip_prefix("Example: ") {
            Some(example) => text.push_str(&format!("```sh\n{}\n```\n\n", example.trim())),
            None => text.push_str(&format!("{}\n\n", escape(paragraph.trim()))),
        }
    }
    text
}

fn table(arguments: &[&Arg]) -> String {
    let mut text = String::from("| Argument | Meaning |\n|---|---|\n");
    for arg in arguments {
        let help = arg.get_long_help().or_else(|| arg.get_help());
        let help = help.map(ToString::to_string).unwrap_or_default();
        let mut help = escape(&help.split_whitespace().collect::<Vec<_>>().join(" "));
        let takes = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
        let values: Vec<String> = arg
            .get_possible_values()
            .iter()
            .filter(|v| takes && !v.is_hide_set())
            .map(|v| format!("`{}`", v.get_name()))
            .collect();
        if !values.is_empty() {
            help.push_str(&format!(": {}", values.join(", ")));
        }
        let defaults: Vec<String> = arg
            .get_default_values()
            .iter()
            .filter(|_| takes)
            .map(|v| format!("`{}`", v.to_string_lossy()))
            .collect();
        if !defaults.is_empty() {
            help.push_str(&format!(" (default {})", defaults.join(", ")));
        }
        let form = form(arg).replace('|', "\\|");
        text.push_str(&format!("| `{form}` | {help} |\n"));
    }
    text.push('\n');
    text
}

/// `-f, --file FILE`, or `NAME`.
fn form(arg: &Arg) -> String {
    let value = || {
        let names = arg.get_value_names().unwrap_or_default();
        let names: Vec<&str> = names.iter().map(|n| n.as_str()).collect();
        names.join(" ")
    };
    let mut flags: Vec<String> = Vec::new();
    flags.extend(arg.get_short().map(|c| format!("-{c}")));
    flags.extend(arg.get_long().map(|l| format!("--{l}")));
    if flags.is_empty() {
        return if arg.is_required_set() {
            value()
        } else {
            format!("[{}]", value())
        };
    }
    let flags = flags.join(", ");
    match arg.get_action() {
        ArgAction::Set | ArgAction::Append => format!("{flags} {}", value()),
        _ => flags,
    }
}

/// Keeps Markdown from reading a description as markup.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "|*_<>[]`".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
