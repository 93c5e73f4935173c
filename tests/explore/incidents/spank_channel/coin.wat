;; A token that gives back what it is told to.

(module $coin
  (memory $memory (export "memory") 1)

  (func $main (export "main")))
