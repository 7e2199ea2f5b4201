<?php

// Tests of the plug-in's parts that need no Roundcube: php unit.php. The exit code
// tells how many failed, up to 1.

foreach (['answer', 'hook', 'pending', 'session', 'shape'] as $part) {
    require_once __DIR__ . "/../postern/lib/postern_$part.php";
}

$failed = 0;

function check($what, $got, $want)
{
    global $failed;
    if ($got !== $want) {
        $failed = 1;
        echo "$what: " . var_export($got, true) . ', not ' . var_export($want, true) . "\n";
    }
}

// What the tests use in place of Roundcube's encryption.
$encrypt = function ($text) { return strrev($text); };
$decrypt = $encrypt;

// ---- answers: anything that is not understood is unavailable

$full = ['result' => 'granted', 'user' => 'u', 'ticket' => 'pt1_x', 'grant' => 'g', 'expires' => '2026-03-01T10:00:00Z'];

foreach ([
    // name => status, body, result
    'granted'              => [200, json_encode($full), 'granted'],
    'without ticket'       => [200, '{"result":"granted","user":"u"}', 'granted'],
    'ticket alone'         => [200, json_encode(array_diff_key($full, ['grant' => 1])), 'unavailable'],
    'grant alone'          => [200, json_encode(array_diff_key($full, ['ticket' => 1])), 'unavailable'],
    'without expiry'       => [200, json_encode(array_diff_key($full, ['expires' => 1])), 'unavailable'],
    'strange expiry'       => [200, json_encode(['expires' => 'soon, I think'] + $full), 'unavailable'],
    'numbers'              => [200, '{"result":"granted","user":7,"ticket":8,"grant":9}', 'granted'],
    'granted, but 503'     => [503, json_encode($full), 'unavailable'],
    'granted, but 201'     => [201, json_encode($full), 'unavailable'],
    'denied'               => [200, '{"result":"denied","message":"no"}', 'denied'],
    'denied, but 401'      => [401, '{"result":"denied"}', 'unavailable'],
    'unavailable'          => [503, '{"result":"unavailable","message":"later"}', 'unavailable'],
    'unavailable, but 200' => [200, '{"result":"unavailable"}', 'unavailable'],
    'second factor'        => [200, '{"result":"second_factor","transaction":"t","url":"https://h/p?x=1"}', 'asked'],
    'enrol'                => [200, '{"result":"enroll","transaction":"t","url":"https://h/"}', 'asked'],
    'no transaction'       => [200, '{"result":"second_factor","url":"https://h/p"}', 'unavailable'],
    'no url'               => [200, '{"result":"second_factor","transaction":"t"}', 'unavailable'],
    'script url'           => [200, '{"result":"second_factor","transaction":"t","url":"javascript:alert(1)"}', 'unavailable'],
    'url of two lines'     => [200, '{"result":"second_factor","transaction":"t","url":"https://h/\nX-Y: z"}', 'unavailable'],
    'ended'                => [200, '{"result":"ended"}', 'ended'],
    'link'                 => [200, '{"url":"https://h/2fa/security?l=1"}', 'link'],
    'link without url'     => [200, '{}', 'unavailable'],
    'unknown'              => [200, '{"result":"maybe"}', 'unavailable'],
    'list'                 => [200, '["granted"]', 'unavailable'],
    'no JSON'              => [200, '<html>granted', 'unavailable'],
    'empty'                => [200, '', 'unavailable'],
    'deep'                 => [200, str_repeat('[', 100) . str_repeat(']', 100), 'unavailable'],
] as $name => $c) {
    $answer = postern_answer::parse($c[0], $c[1]);
    check($name, $answer->result, $c[2]);
    check("$name: cause", $answer->cause !== '', $c[2] == 'unavailable');
    check("$name: secrets in the cause", preg_match('/pt1_|granted"/', $answer->cause), 0);
}

$answer = postern_answer::parse(200, json_encode($full + ['recommend' => true]));
check('fields', [$answer->user, $answer->ticket, $answer->grant, $answer->expires, $answer->recommend], ['u', 'pt1_x', 'g', 1772359200, true]);
check('cause', postern_answer::parse(400, '{"result":"error","message":"return_to: no\\nsuch"}')->cause, 'status 400: return_to: no such');
check('message', postern_answer::parse(200, '{"result":"denied","message":"no"}')->message, 'no');

// ---- a half-finished login

$state   = postern_pending::new_state();
$pending = new postern_pending($state, 'txn', ['_user' => 'u', '_pass' => 'secret', '_url' => '_task=x', '_host' => ['x'], '_token' => 't'], 1000);
$packed  = $pending->pack($encrypt);

check('states differ', $state === postern_pending::new_state(), false);
check('form', $pending->form, ['_user' => 'u', '_url' => '_task=x']);
check('packed secrets', preg_match('/secret|txn|' . $state . '/', serialize($packed)), 0);

$again = postern_pending::unpack($packed, $state, 1000 + 900, $decrypt);
check('unpacked', [$again->transaction, $again->form], ['txn', $pending->form]);
check('too late', postern_pending::unpack($packed, $state, 1901, $decrypt), null);
check('other state', postern_pending::unpack($packed, postern_pending::new_state(), 1000, $decrypt), null);
check('no state', postern_pending::unpack($packed, '', 1000, $decrypt), null);
check('nothing begun', postern_pending::unpack(null, '', 1000, $decrypt), null);
check('empty', postern_pending::unpack([], '', 1000, $decrypt), null);
check('other key', postern_pending::unpack($packed, $state, 1000, function () { return false; }), null);

// ---- a session

$session = new postern_session('grant', 1600);
foreach ([1000 => false, 1480 => false, 1481 => true, 1700 => true] as $now => $due) {
    check("due at $now", $session->due($now), $due);
}
$session->pause(1500);
check('paused', [$session->due(1514), $session->due(1515)], [false, true]);
$session->renewed(1700);
check('renewed', [$session->due(1580), $session->due(1581)], [false, true]);
$session->pause(2000);
$session->recommend = true;
$packed = $session->pack($encrypt);
check('packed grant', preg_match('/grant"/', serialize($packed['grant'])), 0);
check('session', postern_session::unpack($packed, $decrypt) == $session, true);
check('no session', postern_session::unpack(null, $decrypt), null);
check('no grant', postern_session::unpack(['expires' => 5], $decrypt), null);
check('other key of a session', postern_session::unpack($packed, function () { return false; }), null);

// ---- addresses of the webhook

$key = 'k3y-of-the-tests-roundcube';

foreach ([
    'unix:///run/postern/webhook.sock' => '',
    'https://hook.example.test'        => '',
    'https://hook.example.test:8443/'  => '',
    'https://[2001:db8::1]:8443'       => '',
    'http://127.0.0.1:8080'            => '',
    'http://127.3.2.1'                 => '',
    'http://localhost:8080'            => '',
    'http://[::1]:8080'                => '',
    'http://hook.example.test'         => 'https',
    'http://127.0.0.1.example.test'    => 'https',
    'http://localhost.example.test'    => 'https',
    'http://192.0.2.1:80'              => 'https',
    'unix://run/postern/webhook.sock'  => 'address',
    'https://user@hook.example.test'   => 'address',
    'https://hook.example.test/path'   => 'address',
    "https://hook.example.test\n"      => 'address',
    'ftp://hook.example.test'          => 'address',
    ''                                 => 'address',
] as $url => $complaint) {
    $text = '';
    try {
        postern_hook::at($url, $key);
    }
    catch (InvalidArgumentException $e) {
        $text = $e->getMessage();
    }
    check("address '$url'", $complaint === '' ? $text === '' : strpos($text, $complaint) !== false, true);
}

foreach (['', 'short', "k3y-of-the-tests\r\nX-Y: z", 'k3y of the tests roundcube'] as $bad) {
    $text = '';
    try {
        postern_hook::at('http://127.0.0.1:1', $bad);
    }
    catch (InvalidArgumentException $e) {
        $text = $e->getMessage();
    }
    check("key '$bad'", strpos($text, 'key') !== false && ($bad === '' || strpos($text, $bad) === false), true);
}

exit($failed);
