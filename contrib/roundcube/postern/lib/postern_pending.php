<?php

/**
 * A login that has been begun and goes on in a page: its half is kept in the PHP
 * session until the browser comes back.
 *
 * There is no password in it, and nothing that opens mail. The state is the proof
 * that the browser which comes back is the one that was sent away; the transaction
 * is worth nothing without the page's one-time code.
 */
class postern_pending
{
    const LIFE = 900; // seconds; Postern's own limit on a transaction is at most that

    /** Fields of the login form that index.php and rcmail::login() read again. */
    const FORM = ['_user', '_host', '_timezone', '_url'];

    /** @var string handle for /v1/exchange */
    public $transaction;

    /** @var array fields of the login form */
    public $form;

    private $state;
    private $until;

    /**
     * @param string $state       from new_state()
     * @param string $transaction
     * @param array  $post        the login form; the password is left out
     * @param int    $now         Unix time
     */
    public function __construct($state, $transaction, $post, $now)
    {
        $this->state       = $state;
        $this->transaction = $transaction;
        $this->form        = array_filter(array_intersect_key($post, array_flip(self::FORM)), 'is_string');
        $this->until       = $now + self::LIFE;
    }

    /** @return string unguessable, for the address that the browser comes back to */
    public static function new_state()
    {
        return bin2hex(random_bytes(24));
    }

    /**
     * @param callable $encrypt string => string
     *
     * @return array for the session
     */
    public function pack($encrypt)
    {
        return [
            'state'       => hash('sha256', $this->state),
            'transaction' => $encrypt($this->transaction),
            'form'        => $this->form,
            'until'       => $this->until,
        ];
    }

    /**
     * @param mixed    $packed  what the session holds
     * @param string   $state   as the browser brought it
     * @param int      $now     Unix time
     * @param callable $decrypt string => string|false
     *
     * @return postern_pending|null null: this browser began no such login, or too long ago
     */
    public static function unpack($packed, $state, $now, $decrypt)
    {
        if (!is_array($packed) || empty($packed['state']) || $packed['until'] < $now
            || !hash_equals($packed['state'], hash('sha256', $state))
        ) {
            return null;
        }

        $transaction = $decrypt($packed['transaction']);

        return $transaction ? new self($state, $transaction, $packed['form'], $now) : null;
    }
}
