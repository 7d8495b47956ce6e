//! The effect of every fault of the database and of the network: the answer, the attempts, and the item in the table.

mod ambiguous;
mod matrix;
mod site;
