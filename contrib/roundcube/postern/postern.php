<?php

foreach (['answer', 'hook', 'pending', 'session', 'settings', 'shape', 'tickets'] as $part) {
    require_once __DIR__ . "/lib/postern_$part.php";
}

/**
 * Postern for Roundcube: the second factor at login, and tickets instead of the
 * password for the mail servers.
 *
 * authenticate asks the webhook about name and password. If a second factor is
 * needed, the browser goes to Postern's page and comes back with a one-time code,
 * which is exchanged for a ticket; IMAP sees nothing before that. The ticket is
 * the session's password and is renewed while the session lives; the user's own
 * password is not kept. The boundary is Dovecot, not this plug-in: without the
 * webhook, users without a second factor log in with their password, and the mail
 * servers refuse everybody else's.
 *
 * Works with Roundcube 1.6 and 1.7. See README.md.
 */
class postern extends rcube_plugin
{
    use postern_tickets;
    use postern_settings;

    /** @var rcmail */
    private $rc;

    /** @var postern_hook|null */
    private $hook;

    /** @var postern_pending|null the login that this request finishes */
    private $returned;

    /** @var string the code that came with it */
    private $code = '';

    /** @var string|null $_SESSION['password'] while the password plug-in looks at another value */
    private $kept;

    public function init()
    {
        $this->rc = rcmail::get_instance();
        $this->load_config();
        $this->add_texts('localization/');

        foreach ([
            'startup', 'authenticate', 'login_after', 'unauthenticated', 'ready', 'session_destroy',
            'loginform_content', 'storage_connect', 'settings_actions',
        ] as $name) {
            $this->add_hook($name, [$this, $name]);
        }

        if ($this->rc->task == 'settings') {
            $this->register_action('plugin.postern', [$this, 'security']);
        }
    }

    /**
     * Runs first in every request, before Roundcube checks login, cookie or token:
     * finishes a login, and keeps the ticket of a session fresh.
     */
    public function startup($args)
    {
        if ($args['task'] == 'login' && $args['action'] == 'postern') {
            return $this->come_back($args);
        }

        $session = $this->open_session();
        if ($session && $session->due(time()) && $this->renew($session) == postern_answer::DENIED) {
            $this->end_session();
        }
        if ($session && $args['task'] == 'settings' && $args['action'] == 'plugin.password-save') {
            return $this->check_current_password($args, $session);
        }

        return $args;
    }

    /** The browser comes back from Postern's page. */
    private function come_back($args)
    {
        $state      = rcube_utils::get_input_string('_state', rcube_utils::INPUT_GET);
        $this->code = rcube_utils::get_input_string('code', rcube_utils::INPUT_GET);
        $cancelled  = rcube_utils::get_input_string('error', rcube_utils::INPUT_GET) !== '';

        // Roundcube logs the address with every error, and puts it into the login form.
        $_SERVER['REQUEST_URI']  = preg_replace('/\?.*/s', '', $_SERVER['REQUEST_URI']);
        $_SERVER['QUERY_STRING'] = '';

        if (!empty($_SESSION['user_id'])) {
            $this->rc->output->redirect(['_task' => 'mail']);
        }

        $packed  = isset($_SESSION['postern_login']) ? $_SESSION['postern_login'] : null;
        $pending = postern_pending::unpack($packed, $state, time(), [$this->rc, 'decrypt']);

        $args['action'] = '';
        if (!$pending || !$cancelled && $this->code === '') {
            $this->rc->output->show_message('postern.expired', 'warning');

            return $args;
        }

        // The half-finished session ends here, whatever comes: its id, its state.
        $this->rc->kill_session();
        $_POST = $pending->form;

        if ($cancelled) {
            $this->rc->output->show_message('postern.cancelled', 'notice');

            return $args;
        }

        $this->returned = $pending;
        $args['action'] = 'login';

        return $args;
    }

    /** Decides about a login: nothing has been said to IMAP yet. */
    public function authenticate($args)
    {
        if ($this->returned) {
            return $this->finish($args, $this->returned);
        }
        if (!$args['valid'] || $args['abort']) {
            return $args;
        }
        if ($this->passkey_wanted()) {
            return $this->begin($args, '/v1/passkey', ['domain' => $this->expected_domain($args)]);
        }
        if ((string) $args['user'] === '' || (string) $args['pass'] === '') {
            return $args;
        }
        if (postern_shape::is_credential($args['user']) || postern_shape::is_credential(strtok($args['user'], '@'))) {
            $args['user'] = ''; // it would be logged

            return $this->refuse($args, 'loginfailed');
        }
        if (postern_shape::is_credential($args['pass'])) {
            return $this->refuse($args, 'postern.notyourpassword');
        }

        $charset = $this->rc->config->get('password_charset', RCUBE_CHARSET);

        return $this->begin($args, '/v1/login', [
            'user'     => $args['user'],
            'password' => rcube_charset::convert($args['pass'], $charset, 'UTF-8'),
        ]);
    }

    private function passkey_wanted()
    {
        return $this->rc->config->get('postern_passkey_button')
            && rcube_utils::get_input_string('_postern', rcube_utils::INPUT_GET) === 'passkey';
    }

    /** The mail domain of who is about to sign in, as far as anybody knows: it chooses the relying party. */
    private function expected_domain($args)
    {
        $typed = strrchr((string) $args['user'], '@');
        if ($typed !== false) {
            return substr($typed, 1);
        }
        [$host] = rcube_utils::parse_host_uri($args['host']);
        $domain = $this->rc->config->get('username_domain');
        if (is_array($domain)) {
            $domain = $domain[$host] ?? '';
        }

        return rcube_utils::parse_host((string) $domain, $host);
    }

    private function begin($args, $path, $fields)
    {
        $state  = postern_pending::new_state();
        $answer = $this->call($path, $fields + [
            'remote_ip'  => rcube_utils::remote_addr(),
            'user_agent' => $this->user_agent(),
            'return_to'  => $this->return_url(['_task' => 'login', '_action' => 'postern', '_state' => $state]),
        ]);

        switch ($answer->result) {
        case postern_answer::GRANTED:
            return $this->admit($args, $answer);
        case postern_answer::ASKED:
            $this->send_away(new postern_pending($state, $answer->transaction, $_POST, time()), $answer->url);
        case postern_answer::DENIED:
            return $this->refuse($args, 'loginfailed', $answer);
        }

        if ($path == '/v1/passkey') {
            return $this->refuse($args, 'postern.unavailable');
        }

        // The mail servers decide: they let in who has no second factor.
        $args['error'] = 'postern.failedunavailable';

        return $args;
    }

    /** Keeps a login's half in a session with a new id, and leaves for the page. Does not return. */
    private function send_away($pending, $url)
    {
        $_SESSION['postern_login'] = $pending->pack([$this->rc, 'encrypt']);

        // index.php has emptied and destroyed the old session.
        $this->rc->session->regenerate_id(false);
        $this->rc->output->redirect($url);
    }

    private function finish($args, $pending)
    {
        $fields = ['transaction' => $pending->transaction, 'code' => $this->code];
        $answer = $this->call('/v1/exchange', $fields);

        if ($answer->result == postern_answer::UNAVAILABLE) {
            // A repeated exchange brings the same session: the first may have got through.
            $answer = $this->call('/v1/exchange', $fields);
        }
        if ($answer->result == postern_answer::GRANTED && $answer->ticket !== '' && $answer->user !== '') {
            $_POST['_user'] = $answer->user; // of a passkey; autoselect_host and parse_host read it
            $args['host']   = $this->rc->autoselect_host();
            $args['valid']  = true; // the state was the proof that this browser began it

            return $this->admit($args, $answer);
        }
        if ($answer->result == postern_answer::DENIED) {
            return $this->refuse($args, 'postern.expired', $answer);
        }

        return $this->refuse($args, 'postern.unavailable');
    }

    /** Lets Roundcube log in to IMAP, with the ticket if there is one. */
    private function admit($args, $answer)
    {
        if ($answer->user !== '') {
            $args['user'] = $answer->user;
        }
        if ($answer->ticket !== '') {
            $session = new postern_session($answer->grant, $answer->expires);
            $session->recommend = $answer->recommend;
            $this->keep($session);
            $args['pass'] = $answer->ticket;
        }

        return $args;
    }

    /** Roundcube has logged in: from now on the session is known by the name that it has there. */
    public function login_after($args)
    {
        if ($session = $this->session()) {
            $session->account = $this->account();
            $this->keep($session);
        }

        return $args;
    }

    /** Makes the login fail with the answer's text, if it is in the user's language, or with our own. */
    private function refuse($args, $label, $answer = null)
    {
        $args['valid'] = true; // otherwise Roundcube speaks of an invalid request
        $args['abort'] = true;
        $args['error'] = $label;

        if ($answer && $answer->message !== '' && $answer->language == strtok($this->language(), '_')) {
            $args['error'] = rcube::Q($answer->message);
        }

        return $args;
    }

    private function language()
    {
        return isset($_SESSION['language']) ? $_SESSION['language'] : 'en_US';
    }

    /** Puts the passkey button on the login page. */
    public function loginform_content($args)
    {
        if ($this->rc->config->get('postern_passkey_button')) {
            $button = html::tag('button', [
                'type'           => 'submit',
                'id'             => 'postern-passkey',
                'class'          => 'button',
                'formaction'     => $this->rc->url(['_task' => 'login', '_postern' => 'passkey']),
                'formnovalidate' => 'formnovalidate',
            ], rcube::Q($this->gettext('passkey')), ['type', 'id', 'class', 'formaction', 'formnovalidate']);

            $args['buttons']['postern'] = ['outterclass' => 'formbuttons', 'content' => $button];
            $this->include_style();
        }

        return $args;
    }

    /** Says on the login page why a session has ended. */
    public function unauthenticated($args)
    {
        if (!empty($_SESSION['postern_notice'])) {
            $this->rc->output->show_message('postern.ended', 'notice');
            $this->rc->session->remove('postern_notice');
        }

        return $args;
    }

    /** Calls the hook API; what went wrong is logged, and never holds a secret. */
    private function call($path, $fields)
    {
        try {
            $answer = $this->hook()->call($path, $fields, $this->language());
        }
        catch (InvalidArgumentException $e) {
            $answer = postern_answer::unavailable($e->getMessage());
        }

        if ($answer->cause !== '') {
            rcube::write_log('errors', 'postern: ' . $answer->cause);
        }

        return $answer;
    }

    private function hook()
    {
        if (!$this->hook) {
            $config = $this->rc->config;
            $file   = $config->get('postern_key_file');
            $key    = $file ? @file_get_contents($file) : $config->get('postern_key');

            if ($key === false) {
                throw new InvalidArgumentException("postern_key_file: $file cannot be read");
            }

            $this->hook = postern_hook::at(
                $config->get('postern_url', 'unix:///run/postern/webhook.sock'),
                trim((string) $key),
                (string) $config->get('postern_ca_file')
            );
        }

        return $this->hook;
    }

    /** An address of this Roundcube for the browser to come back to. */
    private function return_url($params)
    {
        if ($base = $this->rc->config->get('postern_return_url')) {
            return rtrim($base, '/') . '/?' . http_build_query($params, '', '&');
        }

        return $this->rc->url($params, true, true);
    }

    private function user_agent()
    {
        return substr((string) rcube_utils::request_header('User-Agent'), 0, 512);
    }
}
