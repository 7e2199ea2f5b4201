<?php

// Tells for each line of standard input, in hexadecimal, whether it is a credential.

require_once __DIR__ . '/../postern/lib/postern_shape.php';

while (($line = fgets(STDIN)) !== false) {
    echo postern_shape::is_credential(hex2bin(trim($line))) ? "yes\n" : "no\n";
}
