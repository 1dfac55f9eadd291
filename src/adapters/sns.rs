//! The publisher on SNS FIFO.
