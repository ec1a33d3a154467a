//! What holds for every mechanism of the list, at odd shapes.
