"""What runs on a worker: a plan, trained from its checkpoint if it has one, on kernels that are believed there."""
