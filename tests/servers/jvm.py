"""How tests start a JVM with Spark in it."""

OPTIONS = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"
"""Most plans run once or twice here: without the second compiler, Spark starts with half the CPU time.

The compiled code of many tests needs more than the 48 MB that Java gives to the first compiler alone. When they are
full, Java compiles nothing more, and in the end Spark's own calls fail ("Out of space in CodeCache").
"""
