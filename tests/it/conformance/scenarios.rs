//! The rules, each as a short story: `step -> what AWS does`.

/// One rule.
pub(super) struct Scenario {
    /// The section of aws.md that says so; `sync` marks those of sync.md.
    pub(super) rule: &'static str,
    pub(super) name: &'static str,
    pub(super) script: &'static str,
}

pub(super) const SCENARIOS: [Scenario; 38] = [
    Scenario {
        rule: "3",
        name: "a creation makes AWSCURRENT, and its token repeats it",
        script: "create a 1 x d=about k=v -> done
            look a -> AWSCURRENT=1 d=about k=v
            read a 1 -> 1 x
            api.create a 1 x -> done
            api.create a 2 x -> ResourceExistsException
            api.create a 1 y -> ResourceExistsException
            api.versions a -> 1=AWSCURRENT",
    },
    Scenario {
        rule: "sync 1.14",
        name: "a creation whose answer was lost is done when it is repeated",
        script: "create a 1 x -> done
            create a 1 x d= -> done
            create a 2 x -> exists
            create a 1 y -> exists
            current a -> 1 x",
    },
    Scenario {
        rule: "3",
        name: "a secret without a value has no version, and its first gets AWSCURRENT",
        script: "create a bare d=soon -> done
            look a -> d=soon
            again create a bare d=soon -> done
            create a bare d=other -> exists
            read a 1 -> no value
            current a -> not found
            put a 1 x own -> done
            look a -> AWSCURRENT=1 own=1 d=soon",
    },
    Scenario {
        rule: "3",
        name: "a plain put moves AWSCURRENT and AWSPREVIOUS follows",
        script: "api.create a 1 x -> done
            api.put a 2 y -> AWSCURRENT
            look a -> AWSCURRENT=2 AWSPREVIOUS=1
            api.put a 3 z -> AWSCURRENT
            look a -> AWSCURRENT=3 AWSPREVIOUS=2
            api.versions a -> 1 2=AWSPREVIOUS 3=AWSCURRENT
            api.get a AWSCURRENT -> 3 z
            api.get a AWSPREVIOUS -> 2 y
            api.get a 1 -> 1 x",
    },
    Scenario {
        rule: "3",
        name: "UpdateSecret with a value is a plain put",
        script: "api.create a 1 x -> done
            api.update a 2 y -> 2
            again api.update a 2 y -> 2
            api.update a 2 z -> ResourceExistsException
            look a -> AWSCURRENT=2 AWSPREVIOUS=1",
    },
    Scenario {
        rule: "3",
        name: "a put under custom labels leaves AWSCURRENT alone",
        script: "create a 1 x -> done
            put a 2 y own -> done
            look a -> AWSCURRENT=1 own=2
            current a -> 1 x
            read a 2 -> 2 y",
    },
    Scenario {
        rule: "3",
        name: "a label is on one version only",
        script: "create a 1 x -> done
            put a 2 y X Y -> done
            put a 3 z X -> done
            look a -> AWSCURRENT=1 X=3 Y=2
            put a 4 z Y -> done
            api.versions a -> 1=AWSCURRENT 2 3=X 4=Y
            look a -> AWSCURRENT=1 X=3 Y=4",
    },
    Scenario {
        rule: "3",
        name: "a put with AWSCURRENT and another label takes both",
        script: "api.create a 1 x -> done
            api.put a 2 y own -> own
            api.put a 3 z AWSCURRENT own -> AWSCURRENT own
            look a -> AWSCURRENT=3 AWSPREVIOUS=1 own=3",
    },
    Scenario {
        rule: "3",
        name: "a put under AWSPENDING leaves the reader's value",
        script: "api.create a 1 x -> done
            api.put a 2 y AWSPENDING -> AWSPENDING
            api.get a AWSCURRENT -> 1 x
            api.get a AWSPENDING -> 2 y
            api.stage a AWSCURRENT 1 2 -> done
            api.versions a -> 1=AWSPREVIOUS 2=AWSCURRENT+AWSPENDING
            api.put a 3 z -> AWSCURRENT
            look a -> AWSCURRENT=3 AWSPREVIOUS=2",
    },
    Scenario {
        rule: "3",
        name: "AWSPENDING leaves a version that keeps AWSCURRENT",
        script: "api.create a 1 x -> done
            api.put a 2 y AWSPENDING -> AWSPENDING
            api.stage a AWSCURRENT 1 2 -> done
            api.put a 3 z AWSPENDING -> AWSPENDING
            api.versions a -> 1=AWSPREVIOUS 2=AWSCURRENT 3=AWSPENDING",
    },
    Scenario {
        rule: "3",
        name: "a used token with the same content changes nothing",
        script: "create a 1 x -> done
            put a 2 y own -> done
            again put a 2 y own -> done
            put a 2 y other -> done
            look a -> AWSCURRENT=1 own=2",
    },
    Scenario {
        rule: "3",
        name: "a used token with other content is refused",
        script: "create a 1 x -> done
            put a 2 y own -> done
            put a 2 z own -> other content
            put a 1 z own -> other content
            put a 2 b:y own -> other content
            read a 2 -> 2 y
            api.put a 2 z -> ResourceExistsException",
    },
    Scenario {
        rule: "3",
        name: "AWSCURRENT moves by compare-and-swap",
        script: "create a 1 x -> done
            put a 2 y next -> done
            put a 3 z own -> done
            move a AWSCURRENT 3 2 -> label on 1
            look a -> AWSCURRENT=1 next=2 own=3
            move a AWSCURRENT 1 2 -> done
            look a -> AWSCURRENT=2 AWSPREVIOUS=1 next=2 own=3
            read a 2 -> 2 y",
    },
    Scenario {
        rule: "sync 1.14",
        name: "a move whose answer was lost is done when it is repeated",
        script: "create a 1 x -> done
            put a 2 y next -> done
            move a AWSCURRENT 1 2 -> done
            again move a AWSCURRENT 1 2 -> done
            put a 3 z own -> done
            move a AWSCURRENT 1 3 -> label on 2
            move a own 3 - -> done
            again move a own 3 - -> done",
    },
    Scenario {
        rule: "3",
        name: "readers without a label follow AWSCURRENT wherever it moves",
        script: "create a 1 x -> done
            put a 2 y next -> done
            move a AWSCURRENT 1 2 -> done
            api.get a AWSCURRENT -> 2 y
            current a -> 2 y",
    },
    Scenario {
        rule: "3",
        name: "a roll-back swaps AWSCURRENT and AWSPREVIOUS",
        script: "api.create a 1 x -> done
            api.put a 2 y -> AWSCURRENT
            move a AWSCURRENT 2 1 -> done
            look a -> AWSCURRENT=1 AWSPREVIOUS=2
            move a AWSCURRENT 1 2 -> done
            look a -> AWSCURRENT=2 AWSPREVIOUS=1",
    },
    Scenario {
        rule: "3",
        name: "a move keeps every other label where it is",
        script: "api.create a 1 x -> done
            api.put a 2 y p -> p
            api.stage a q - 1 -> done
            api.stage a AWSCURRENT 1 2 -> done
            api.versions a -> 1=AWSPREVIOUS+q 2=AWSCURRENT+p
            api.put a 3 z r -> r
            api.stage a AWSCURRENT 2 3 -> done
            api.versions a -> 1=q 2=AWSPREVIOUS+p 3=AWSCURRENT+r",
    },
    Scenario {
        rule: "3",
        name: "a label that sits elsewhere is not taken without naming its holder",
        script: "create a 1 x -> done
            put a 2 y own -> done
            api.stage a AWSCURRENT - 2 -> InvalidParameterException
            api.stage a own - 1 -> InvalidParameterException
            move a own - 1 -> label on 2
            look a -> AWSCURRENT=1 own=2",
    },
    Scenario {
        rule: "3",
        name: "a label on nothing is added, and taken away again",
        script: "create a 1 x -> done
            move a own - 1 -> done
            again move a own - 1 -> done
            look a -> AWSCURRENT=1 own=1
            move a own 1 - -> done
            look a -> AWSCURRENT=1
            api.stage a own 1 - -> InvalidParameterException",
    },
    Scenario {
        rule: "3",
        name: "AWSCURRENT can move and not vanish",
        script: "create a 1 x -> done
            move a AWSCURRENT 1 - -> must stay
            api.stage a AWSCURRENT 1 - -> InvalidParameterException
            look a -> AWSCURRENT=1",
    },
    Scenario {
        rule: "3",
        name: "AWSCURRENT may go to a version that has lost every label",
        script: "api.create a 1 x -> done
            api.put a 2 y -> AWSCURRENT
            api.put a 3 z -> AWSCURRENT
            move a AWSCURRENT 3 1 -> done
            look a -> AWSCURRENT=1 AWSPREVIOUS=3
            read a 2 -> 2 y",
    },
    Scenario {
        rule: "3",
        name: "a label cannot go to a version that is not there",
        script: "create a 1 x -> done
            move a AWSCURRENT 1 9 -> no version
            api.stage a own - 9 -> ResourceNotFoundException
            look a -> AWSCURRENT=1",
    },
    Scenario {
        rule: "sync 1.14",
        name: "the engine parks what it pushes under a label of its own",
        script: "create a 1 x -> done
            put a 2 y SRPUSH -> done
            look a -> AWSCURRENT=1 SRPUSH=2",
    },
    Scenario {
        rule: "sync K2",
        name: "the engine's put never moves AWSCURRENT",
        script: "create a 1 x -> done
            put a 2 y -> UnconditionalPut
            put a 2 y AWSCURRENT -> UnconditionalPut
            put a 2 y sr/lost -> LocalLabel
            look a -> AWSCURRENT=1",
    },
    Scenario {
        rule: "4",
        name: "values come back byte for byte and in their kind",
        script: "create s 1 x*65536 -> done
            read s 1 -> 1 x*65536
            create b 1 b:x*65536 -> done
            read b 1 -> 1 b:x*65536
            create c 1 ünï -> done
            api.get c AWSCURRENT -> 1 ünï
            create e 1 *0 -> EmptyValue
            look e -> absent",
    },
    Scenario {
        rule: "4",
        name: "reads of what is not there",
        script: "create a 1 x -> done
            read a 9 -> no value
            read none 1 -> no value
            current none a -> not found, 1 x
            api.get a 9 -> ResourceNotFoundException
            api.get a AWSPREVIOUS -> ResourceNotFoundException
            api.get none AWSCURRENT -> ResourceNotFoundException
            put none 1 x own -> not found
            move none AWSCURRENT 1 2 -> not found
            delete none -> not found
            look none -> absent",
    },
    Scenario {
        rule: "4",
        name: "description and tags change by key",
        script: "create a 1 x d=one k=1 l=1 -> done
            attributes a d=two k=2 m=3 -> done
            look a -> AWSCURRENT=1 d=two k=2 m=3
            attributes-from a d=wrong d=three -> attributes changed
            api.tag a k=9 -> done
            look a -> AWSCURRENT=1 d=two k=9 m=3",
    },
    Scenario {
        rule: "4",
        name: "an empty description is none",
        script: "create a 1 x d=one -> done
            attributes a k=v -> done
            look a -> AWSCURRENT=1 k=v
            create b 1 x d= -> done
            look b -> AWSCURRENT=1",
    },
    Scenario {
        rule: "6",
        name: "a scheduled secret keeps its labels and gives no value",
        script: "create a 1 x k=v -> done
            delete a -> done
            again delete a -> done
            look a -> scheduled AWSCURRENT=1 k=v
            list -> a(scheduled)
            read a 1 -> scheduled
            current a -> scheduled
            api.delete a -> InvalidRequestException
            api.get a AWSCURRENT -> InvalidRequestException
            api.versions a -> 1=AWSCURRENT",
    },
    Scenario {
        rule: "6",
        name: "a scheduled secret takes no change",
        script: "create a 1 x -> done
            put a 2 y own -> done
            delete a -> done
            put a 3 z own -> scheduled
            move a AWSCURRENT 1 2 -> scheduled
            attributes a k=v -> scheduled
            api.put a 3 z -> InvalidRequestException
            api.tag a k=v -> InvalidRequestException
            look a -> scheduled AWSCURRENT=1 own=2",
    },
    Scenario {
        rule: "6",
        name: "the name of a scheduled secret cannot be created",
        script: "create a 1 x -> done
            delete a -> done
            create a 1 x -> scheduled
            create a 2 y -> scheduled
            api.create a 2 y -> InvalidRequestException",
    },
    Scenario {
        rule: "6",
        name: "a restored secret is as it was",
        script: "create a 1 x k=v -> done
            put a 2 y own -> done
            delete a -> done
            restore a -> done
            again restore a -> done
            look a -> AWSCURRENT=1 own=2 k=v
            read a 2 -> 2 y
            api.restore none -> ResourceNotFoundException",
    },
    Scenario {
        rule: "6",
        name: "a purged name is free again",
        script: "create a 1 x -> done
            api.purge a -> done
            look a -> absent
            create a 2 y -> done
            look a -> AWSCURRENT=2
            read a 1 -> no value
            api.purge none -> done",
    },
    Scenario {
        rule: "sync 1.9",
        name: "a version id belongs to one incarnation of a name",
        script: "create a 1 x -> done
            api.purge a -> done
            create a 1 y -> done
            read a 1 -> 1 y",
    },
    Scenario {
        rule: "9",
        name: "a secret bears 20 labels",
        script: "create a 1 x -> done
            put a 2 y l1 l2 l3 l4 l5 l6 l7 l8 l9 l10 l11 l12 l13 l14 l15 l16 l17 l18 l19 -> done
            put a 3 z l20 -> LimitExceededException
            move a l20 - 1 -> LimitExceededException
            put a 3 z l19 -> done",
    },
    Scenario {
        rule: "9",
        name: "a secret has 100 versions, while none is older than a day",
        script: "api.create a 1 x -> done
            api.fill a 2 100 -> done
            api.put a 101 x -> LimitExceededException
            put a 102 x own -> LimitExceededException
            read a 100 -> 100 x",
    },
    Scenario {
        rule: "5",
        name: "a listing has every secret, scheduled ones too",
        script: "create b 1 x -> done
            create a/c 1 x -> done
            create a 1 x -> done
            delete a/c -> done
            list -> a a/c(scheduled) b",
    },
    Scenario {
        rule: "2",
        name: "names are taken letter for letter",
        script: "create a 1 x -> done
            create A 1 y -> done
            create a/b_+=.@- 1 z -> done
            read A 1 -> 1 y
            read a/b_+=.@- 1 -> 1 z
            create x-a1b2c3 1 w -> done
            read x-a1b2c3 1 -> 1 w
            read x 1 -> no value",
    },
];
