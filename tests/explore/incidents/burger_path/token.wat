;; A token that has nothing against it.

(module $token
  (memory $memory (export "memory") 1)

  (func $main (export "main")))
