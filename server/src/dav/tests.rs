//! The service as a whole, over real stores in a folder of its own.
