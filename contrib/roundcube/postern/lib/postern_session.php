<?php

/**
 * A signed-in session: the grant, and how long the ticket in
 * $_SESSION['password'] is good for.
 */
class postern_session
{
    const RENEW_BEFORE = 120; // seconds before the ticket's end
    const PAUSE        = 15;  // seconds without another try when the webhook is away

    /** @var string handle for /v1/renew, /v1/logout, … */
    public $grant;

    /** @var string the mail account that it opens, as Roundcube's session names it */
    public $account = '';

    /** @var bool whether to ask the user to switch on the second factor */
    public $recommend = false;

    private $expires;
    private $not_before = 0;

    /**
     * @param string $grant
     * @param int    $expires Unix time at which the ticket ends
     */
    public function __construct($grant, $expires)
    {
        $this->grant   = $grant;
        $this->expires = $expires;
    }

    /**
     * @param int $now Unix time
     *
     * @return bool whether the ticket is to be renewed now
     */
    public function due($now)
    {
        return $this->expires - $now < self::RENEW_BEFORE && $now >= $this->not_before;
    }

    /** Notes a new ticket. The grant stays: requests run in parallel. */
    public function renewed($expires)
    {
        $this->expires    = $expires;
        $this->not_before = 0;
    }

    /** Notes that the webhook was away. */
    public function pause($now)
    {
        $this->not_before = $now + self::PAUSE;
    }

    /**
     * @param callable $encrypt string => string
     *
     * @return array for $_SESSION
     */
    public function pack($encrypt)
    {
        return [
            'grant'      => $encrypt($this->grant),
            'expires'    => $this->expires,
            'not_before' => $this->not_before,
            'recommend'  => $this->recommend,
            'account'    => $this->account,
        ];
    }

    /**
     * @param mixed    $packed  what $_SESSION holds
     * @param callable $decrypt string => string|false
     *
     * @return postern_session|null null: a session without a grant
     */
    public static function unpack($packed, $decrypt)
    {
        $grant = is_array($packed) && !empty($packed['grant']) ? $decrypt($packed['grant']) : false;
        if (!$grant) {
            return null;
        }

        $session = new self($grant, (int) $packed['expires']);
        $session->not_before = (int) $packed['not_before'];
        $session->recommend  = !empty($packed['recommend']);
        $session->account    = $packed['account'];

        return $session;
    }
}
