<?php

/**
 * A session that is signed in: its ticket is kept fresh, shown to the mail servers,
 * and ended. Part of the class postern.
 */
trait postern_tickets
{
    /** Renews the ticket; returns the answer's result. */
    private function renew($session)
    {
        $answer = $this->call('/v1/renew', ['grant' => $session->grant]);

        if ($answer->result == postern_answer::GRANTED && $answer->ticket !== '') {
            $_SESSION['password'] = $this->rc->encrypt($answer->ticket);
            $session->renewed($answer->expires);
            $this->keep($session);
        }
        else if ($answer->result != postern_answer::DENIED) {
            $session->pause(time());
            $this->keep($session);
        }

        return $answer->result;
    }

    /** Ends a session whose grant has ended: the user signs in again. Does not return. */
    private function end_session()
    {
        $this->rc->session->remove('postern'); // nothing to end at the webhook
        $this->rc->kill_session();
        $_SESSION['postern_notice'] = 'ended';

        $output = $this->rc->output;
        $login  = ['_task' => 'login'];

        if (!$output->ajax_call && !$output->get_env('framed')) {
            $output->redirect($login);
        }

        $output->reset();
        $output->command('session_error', $this->rc->url($login));
        $output->send('iframe');
        exit;
    }

    /** Logging out, or whatever else ends the PHP session, ends the grant. */
    public function session_destroy($args)
    {
        if ($session = $this->session()) {
            $this->rc->session->remove('postern');
            $this->call('/v1/logout', ['grant' => $session->grant]);
        }

        return $args;
    }

    /** @return postern_session|null */
    private function session()
    {
        return postern_session::unpack(isset($_SESSION['postern']) ? $_SESSION['postern'] : null, [$this->rc, 'decrypt']);
    }

    /**
     * The session that opens the mail account in use: nothing during login, and nothing
     * while a plug-in has switched to another account, whose password is in the session
     * then, and whose server must not see a ticket.
     *
     * @return postern_session|null
     */
    private function open_session()
    {
        $session = empty($_SESSION['user_id']) ? null : $this->session();

        return $session && $session->account === $this->account() ? $session : null;
    }

    private function account()
    {
        return $_SESSION['username'] . ' ' . $_SESSION['storage_host'];
    }

    private function keep($session)
    {
        $_SESSION['postern'] = $session->pack([$this->rc, 'encrypt']);
    }

    /** The session's password for the mail servers. */
    private function ticket()
    {
        return $this->rc->decrypt($this->kept !== null ? $this->kept : $_SESSION['password']);
    }

    /**
     * Gives IMAP the browser's address and the fresh ticket; once more with a new one.
     * SMTP (%p) and ManageSieve take the session's password when they connect, which
     * startup has renewed.
     */
    public function storage_connect($args)
    {
        if ($this->rc->config->get('postern_client_address', true)) {
            $ident = ['x-originating-ip' => rcube_utils::remote_addr()];
            $args['preauth_ident'] = empty($args['preauth_ident']) ? $ident : $ident + $args['preauth_ident'];
        }

        $session = $this->open_session();
        if (!$session) {
            return $args;
        }

        $args['retry'] = $args['attempt'] == 1 || $args['attempt'] == 2 && $this->heal($session);
        $args['pass']  = $this->ticket();

        return $args;
    }

    /** After a refusal: the ticket may have ended, or the server's keys have changed. */
    private function heal($session)
    {
        $conn = $this->rc->get_storage()->conn;
        if ($conn->errornum !== rcube_imap_generic::ERROR_NO || $conn->resultcode === 'UNAVAILABLE') {
            return false;
        }

        $result = $this->renew($session);
        if ($result == postern_answer::DENIED) {
            $this->end_session();
        }

        return $result == postern_answer::GRANTED;
    }
}
