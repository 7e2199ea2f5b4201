<?php

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
        foreach (['answer', 'hook', 'pending', 'session', 'shape'] as $part) {
            require_once __DIR__ . "/lib/postern_$part.php";
        }

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

    // ---- signing in

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
            return $this->begin($args, '/v1/passkey', []);
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

    // ---- the session

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

    // ---- the mail servers

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

    // ---- settings

    public function settings_actions($args)
    {
        $args['actions'][] = [
            'action' => 'plugin.postern',
            'class'  => 'postern',
            'label'  => 'security',
            'title'  => 'securitytitle',
            'domain' => 'postern',
        ];

        $this->include_style();

        return $args;
    }

    /** Skins without a style of ours show plain text and buttons. */
    private function include_style()
    {
        $css = $this->local_skin_path() . '/postern.css';
        if (is_file($this->home . '/' . $css)) {
            $this->include_stylesheet($css);
        }
    }

    /**
     * Settings → Security: goes on to Postern's own pages, by a link that works once
     * and in the whole window. Where it is not sure that a user clicked, it asks.
     */
    public function security()
    {
        $text    = 'securityintro';
        $session = $this->session();

        if (!$session) {
            $text = 'securitywithout';
        }
        else if ($this->clicked()) {
            $answer = $this->call('/v1/settings', [
                'grant'     => $session->grant,
                'return_to' => $this->return_url(['_task' => 'settings']),
            ]);

            if ($answer->result == postern_answer::LINK) {
                $this->rc->output->redirect($answer->url);
            }
            if ($answer->result == postern_answer::DENIED) {
                $this->end_session();
            }
            $text = 'securityunavailable';
        }

        $this->register_handler('plugin.body', function () use ($text) { return $this->security_page($text); });
        $this->rc->output->set_pagetitle($this->gettext('security'));
        $this->rc->output->send('plugin');
    }

    /** A form with Roundcube's token (checked before actions run), or a link followed within Roundcube. */
    private function clicked()
    {
        if ($_SERVER['REQUEST_METHOD'] == 'POST') {
            return true;
        }

        return rcube_utils::request_header('Sec-Fetch-Site') === 'same-origin'
            && rcube_utils::request_header('Sec-Fetch-Dest') === 'document';
    }

    private function security_page($text)
    {
        $form = '';
        if ($text != 'securitywithout') {
            $form = $this->rc->output->form_tag(
                ['method' => 'post', 'action' => './?_task=settings&_action=plugin.postern'],
                html::tag('button', ['type' => 'submit', 'class' => 'button mainaction btn btn-primary'],
                    rcube::Q($this->gettext('securityopen')), ['type', 'class'])
            );
        }

        return html::div('box formcontainer', html::div('boxcontent formcontent',
            html::tag('h2', null, rcube::Q($this->gettext('security')))
            . html::p(null, rcube::Q($this->gettext($text))) . $form
        ));
    }

    /** Recommends the second factor, once a session, where a user reads mail. */
    public function ready($args)
    {
        $session = $this->session();

        if ($session && $session->recommend && $args['task'] == 'mail' && $args['action'] == ''
            && !$this->rc->output->ajax_call && !$this->rc->output->get_env('framed')
        ) {
            $session->recommend = false;
            $this->keep($session);

            $link = html::a($this->rc->url(['_task' => 'settings', '_action' => 'plugin.postern']),
                rcube::Q($this->gettext('recommendlink')));
            // A click takes it away; nothing else does soon.
            $this->rc->output->command('display_message', rcube::Q($this->gettext('recommend')) . ' ' . $link, 'notice', 600000);
        }

        return $args;
    }

    /**
     * The password plug-in compares what the user types as current password with the
     * session's password, and gives it to its driver; afterwards it puts the new one
     * into the session. So, for the rest of this request, the session holds what was
     * typed if the webhook says that it is right, and something random if not. The
     * ticket is back before the session is stored.
     */
    private function check_current_password($args, $session)
    {
        if (!$this->rc->check_request()) {
            return $args; // Roundcube refuses the request
        }

        $this->kept = $_SESSION['password'];
        $this->rc->add_shutdown_function(function () {
            if (!empty($_SESSION['user_id'])) {
                $_SESSION['password'] = $this->kept;
            }
        });

        $current = rcube_utils::get_input_string('_curpasswd', rcube_utils::INPUT_POST, true);
        if ($current === '') {
            return $args; // not asked for; the driver sees the ticket
        }

        $answer = $this->call('/v1/check', [
            'grant'     => $session->grant,
            'password'  => $current,
            'remote_ip' => rcube_utils::remote_addr(),
        ]);

        if ($answer->result != postern_answer::GRANTED && $answer->result != postern_answer::DENIED) {
            $this->rc->output->show_message('postern.checkunavailable', 'error');
            $args['action'] = 'plugin.password';

            return $args;
        }

        $charset = $this->rc->config->get('password_charset', RCUBE_CHARSET);
        $typed   = rcube_charset::convert($current, RCUBE_CHARSET, $charset);
        $_SESSION['password'] = $this->rc->encrypt($answer->result == postern_answer::GRANTED ? $typed : bin2hex(random_bytes(16)));

        return $args;
    }

    // ---- the webhook

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
