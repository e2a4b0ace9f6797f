"""The configuration: schemas, rules, the command line. Imports neither torch nor Lightning."""
