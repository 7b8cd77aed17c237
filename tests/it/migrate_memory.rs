//! A migration over two accounts in memory: the plan and why secrets are blocked, the
//! copy with a fault at every call, deltas, verification, roll back and retirement.

mod house;
mod plan;
mod policies;
mod runs;
mod undo;
