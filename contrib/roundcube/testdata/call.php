<?php

// Calls a webhook as the plug-in does: JSON with url, key, ca, path, fields and
// language on standard input; the answer as JSON, with the seconds it took.

require_once __DIR__ . '/../postern/lib/postern_answer.php';
require_once __DIR__ . '/../postern/lib/postern_hook.php';

$in     = json_decode(stream_get_contents(STDIN), true);
$begin  = microtime(true);
$answer = postern_hook::at($in['url'], $in['key'], $in['ca'])->call($in['path'], $in['fields'], $in['language']);

echo json_encode(['seconds' => microtime(true) - $begin] + get_object_vars($answer));
