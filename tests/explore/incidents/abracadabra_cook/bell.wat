;; Rings.

(module $bell
  (memory $memory (export "memory") 1)

  (func $main (export "main")))
