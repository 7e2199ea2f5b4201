<?php

/**
 * Calls the hook API of Postern's webhook, over a unix socket, TLS, or plain HTTP
 * on loopback.
 *
 * PHP's own streams are enough for that: Roundcube does not need ext-curl, so most
 * hosts do not have it. A call is one HTTP/1.0 request: HTTP/1.0 has no chunks, and
 * the connection ends with the answer.
 */
class postern_hook
{
    const CONNECT_TIME = 2;     // seconds
    const TOTAL_TIME   = 6;     // seconds
    const MAX_ANSWER   = 65536; // bytes

    private $target;  // for stream_socket_client
    private $host;    // Host header
    private $key;
    private $ca_file;

    private function __construct() {}

    /**
     * @param string $url     postern_url: unix:///path, https://host:port, http://127.0.0.1:port
     * @param string $key     the client's key
     * @param string $ca_file CA certificates to trust instead of the system's, or empty
     *
     * @return postern_hook
     *
     * @throws InvalidArgumentException naming what the administrator has to change
     */
    public static function at($url, $key, $ca_file = '')
    {
        if (!preg_match('/^[\x21-\x7e]{16,}$/D', $key)) {
            throw new InvalidArgumentException('the key must have 16 or more printable characters');
        }

        $hook = new self;
        $hook->key     = $key;
        $hook->ca_file = $ca_file;

        if (preg_match('#^unix://(/.+)$#D', $url)) {
            $hook->target = $url;
            $hook->host   = 'localhost';

            return $hook;
        }

        $hook->aim($url);

        return $hook;
    }

    /** Takes a TCP address apart, and refuses what passwords must not cross. */
    private function aim($url)
    {
        if (!preg_match('#^(https?)://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:\d+)?/?$#iD', $url, $m)) {
            throw new InvalidArgumentException("postern_url: '$url' is no address like unix:///run/postern/webhook.sock or https://host:port");
        }

        $tls        = strtolower($m[1]) == 'https';
        $this->host = $m[2] . (isset($m[3]) ? $m[3] : '');

        if (!$tls && !preg_match('/^(127(\.\d+){3}|\[::1\]|localhost)$/iD', $m[2])) {
            throw new InvalidArgumentException("postern_url: '$url' needs https: passwords would cross the network readably");
        }

        $this->target = ($tls ? 'tls://' : 'tcp://') . $m[2] . (isset($m[3]) ? $m[3] : ($tls ? ':443' : ':80'));
    }

    /**
     * @param string $path     such as /v1/login
     * @param array  $fields   of the request
     * @param string $language of the user, for texts in the answer
     *
     * @return postern_answer unavailable if there was no answer
     */
    public function call($path, $fields, $language = '')
    {
        $body = json_encode($fields, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);

        if ($body === false) {
            return postern_answer::unavailable("$path: the request has bytes that are no text");
        }

        try {
            list($status, $head, $answer) = $this->exchange($this->request($path, $body, $language));
        }
        catch (RuntimeException $e) {
            return postern_answer::unavailable("$path: " . $e->getMessage());
        }

        $answer = postern_answer::parse($status, $answer);
        if (preg_match('/^content-language:[ \t]*([a-z]{2,3})\b/im', $head, $m)) {
            $answer->language = strtolower($m[1]);
        }
        if ($answer->cause !== '') {
            $answer->cause = "$path: " . $answer->cause;
        }

        return $answer;
    }

    private function request($path, $body, $language)
    {
        $headers = [
            "POST $path HTTP/1.0",
            'Host: ' . $this->host,
            'Authorization: Bearer ' . $this->key,
            'Content-Type: application/json',
            'Content-Length: ' . strlen($body),
            'Accept: application/json',
        ];

        if (preg_match('/^[a-z]{2,3}([_-][a-z]{2,8})*$/iD', $language)) {
            $headers[] = 'Accept-Language: ' . strtr($language, '_', '-');
        }

        return implode("\r\n", $headers) . "\r\n\r\n" . $body;
    }

    /** Sends a request; returns the answer's status, head and body. */
    private function exchange($request)
    {
        $deadline = microtime(true) + self::TOTAL_TIME;
        $stream   = $this->connect();

        try {
            $this->send($stream, $request, $deadline);
            $answer = $this->receive($stream, $deadline);
        }
        finally {
            fclose($stream);
        }

        return self::split($answer);
    }

    private function connect()
    {
        $tls     = $this->ca_file !== '' ? ['cafile' => $this->ca_file] : [];
        $context = stream_context_create(['ssl' => $tls]);
        $stream  = @stream_socket_client($this->target, $errno, $error, self::CONNECT_TIME, STREAM_CLIENT_CONNECT, $context);

        if (!$stream) {
            // Failures of TLS are in the warning only.
            $warning = error_get_last();
            throw new RuntimeException('cannot connect: ' . ($error ?: ($warning ? $warning['message'] : 'unknown')));
        }

        return $stream;
    }

    private function send($stream, $request, $deadline)
    {
        while ($request !== '') {
            $this->patience($stream, $deadline);
            $n = @fwrite($stream, $request);
            if (!$n) {
                throw new RuntimeException('the connection broke while sending');
            }
            $request = (string) substr($request, $n);
        }
    }

    private function receive($stream, $deadline)
    {
        $answer = '';

        while (!feof($stream)) {
            $this->patience($stream, $deadline);
            $part = @fread($stream, 8192);
            if ($part === false && !stream_get_meta_data($stream)['timed_out']) {
                break;
            }
            $answer .= $part;
            if (strlen($answer) > self::MAX_ANSWER) {
                throw new RuntimeException('the answer is too long');
            }
        }

        return $answer;
    }

    /** Lets the next operation on the stream wait until the deadline. */
    private function patience($stream, $deadline)
    {
        $left = $deadline - microtime(true);
        if ($left <= 0) {
            throw new RuntimeException('no answer within ' . self::TOTAL_TIME . ' s');
        }
        stream_set_timeout($stream, (int) $left, (int) (1000000 * ($left - (int) $left)));
    }

    /** Splits an answer into status, head and body, which must be whole. */
    private static function split($answer)
    {
        $parts = explode("\r\n\r\n", $answer, 2);

        if (count($parts) != 2 || !preg_match('#^HTTP/1\.[01] ([1-5]\d\d)[ \r]#', $parts[0] . "\r", $m)) {
            throw new RuntimeException('the answer is not HTTP');
        }
        if (preg_match('/^content-length:[ \t]*(\d+)[ \t]*\r?$/im', $parts[0], $length) && strlen($parts[1]) != (int) $length[1]) {
            throw new RuntimeException('the answer was cut short');
        }

        return [(int) $m[1], $parts[0], $parts[1]];
    }
}
