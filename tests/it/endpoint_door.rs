//! The doors of the local endpoint, from outside: real sockets, a double that answers.

mod agent;
mod clients;
mod crowd;
mod front;
mod house;
