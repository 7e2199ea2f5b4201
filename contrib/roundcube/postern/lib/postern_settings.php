<?php

/**
 * What a user who is signed in sees of Postern: Settings → Security, the
 * recommendation, and the form of the plug-in password. Part of the class postern.
 */
trait postern_settings
{
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
}
