<?php

/**
 * An answer of the hook API, checked.
 *
 * Three outcomes never mix: granted, denied, and unavailable. What cannot be
 * understood is unavailable: "could not check" is neither access nor "wrong".
 */
class postern_answer
{
    const GRANTED     = 'granted';
    const DENIED      = 'denied';
    const UNAVAILABLE = 'unavailable';
    const ASKED       = 'asked'; // a page asks for more: API results second_factor and enroll
    const ENDED       = 'ended';
    const LINK        = 'link';  // an address of /v1/settings

    /** @var string one of the constants */
    public $result;

    /** @var string login name to use from now on, if any */
    public $user = '';

    /** @var string password for the mail servers until $expires; empty: go on with what was typed */
    public $ticket = '';

    /** @var string what the ticket is renewed with */
    public $grant = '';

    /** @var int Unix time */
    public $expires = 0;

    /** @var bool whether the user is to be asked to switch on the second factor */
    public $recommend = false;

    /** @var string handle of the login that goes on in a page; never to be shown to a browser */
    public $transaction = '';

    /** @var string page to send the browser to */
    public $url = '';

    /** @var string text for the user; may be empty */
    public $message = '';

    /** @var string language of $message, two or three letters */
    public $language = 'en';

    /** @var string cause for the log; never for the user, never with a secret */
    public $cause = '';

    private function __construct($result)
    {
        $this->result = $result;
    }

    /**
     * @param string $cause what happened, for the log
     *
     * @return postern_answer
     */
    public static function unavailable($cause)
    {
        $answer = new self(self::UNAVAILABLE);
        $answer->cause = $cause;

        return $answer;
    }

    /**
     * @param int    $status HTTP status
     * @param string $body   as received
     *
     * @return postern_answer
     */
    public static function parse($status, $body)
    {
        $fields = json_decode($body, true, 8);

        if (!is_array($fields)) {
            return self::unavailable("status $status without a JSON object");
        }
        if ($status != 200) {
            // What is wrong with the request is said to whoever looks after this webmail.
            $text = substr(preg_replace('/[^\x20-\x7e]+/', ' ', self::text($fields, 'message')), 0, 300);

            return self::unavailable("status $status" . ($text !== '' ? ": $text" : ''));
        }

        $answer = self::of($fields);

        return $answer ?: self::unavailable('an answer that does not follow the API');
    }

    /** Reads the fields of a result; null if one is missing. */
    private static function of($fields)
    {
        switch (self::text($fields, 'result')) {
        case 'granted':
            return self::granted($fields);
        case 'denied':
            $answer = new self(self::DENIED);
            $answer->message = self::text($fields, 'message');
            return $answer;
        case 'second_factor':
        case 'enroll':
            $answer = new self(self::ASKED);
            $answer->transaction = self::text($fields, 'transaction');
            return $answer->transaction !== '' ? self::with_url($answer, $fields) : null;
        case 'ended':
            return new self(self::ENDED);
        case '':
            return self::with_url(new self(self::LINK), $fields);
        }

        return null;
    }

    /** Ticket, grant and expiry come together, or none of them does. */
    private static function granted($fields)
    {
        $answer = new self(self::GRANTED);
        $answer->user      = self::text($fields, 'user');
        $answer->ticket    = self::text($fields, 'ticket');
        $answer->grant     = self::text($fields, 'grant');
        $answer->expires   = (int) strtotime(self::text($fields, 'expires'));
        $answer->recommend = !empty($fields['recommend']);

        if ($answer->ticket === '' && $answer->grant === '') {
            return $answer;
        }
        if ($answer->ticket === '' || $answer->grant === '' || $answer->expires <= 0) {
            return null;
        }

        return $answer;
    }

    private static function with_url($answer, $fields)
    {
        $answer->url = self::text($fields, 'url');

        return preg_match('#^https?://[^\s"<>]+$#D', $answer->url) ? $answer : null;
    }

    private static function text($fields, $name)
    {
        return isset($fields[$name]) && is_string($fields[$name]) ? $fields[$name] : '';
    }
}
