<?php

/**
 * Recognises what is no password of a person: app passwords and tickets.
 *
 * The webhook refuses them at the login form. While it is away the mail servers
 * decide about logins, and they take both: so the plug-in refuses them itself.
 * The rule is the mail servers' own (package factor), but for what only an
 * account's records can tell.
 */
class postern_shape
{
    // Blanks and dashes of every kind, as text programs like to change them.
    const SEPARATOR = '[\p{Pd}\p{Z}\t\n\v\f\r\x{0085}\x{00ad}\x{200b}]';

    /**
     * @param string $text as typed
     *
     * @return bool whether it is an app password (well or badly copied) or a ticket
     */
    public static function is_credential($text)
    {
        if (strncmp($text, 'pt1_', 4) === 0) {
            return true;
        }

        $chars = (string) preg_replace('/' . self::SEPARATOR . '/u', '', $text);

        // An app password has 28 characters; near misses count, passphrases do not:
        // these have no digit.
        if (strlen($text) > 128 || strlen($chars) < 26 || strlen($chars) > 30) {
            return false;
        }

        $lower    = mb_strtolower($chars, 'UTF-8');
        $one_case = $chars === $lower || $chars === mb_strtoupper($chars, 'UTF-8')
            || substr($chars, 1) === substr($lower, 1); // as telephones write it
        $foreign  = preg_match_all('/[^a-z2-7]/', $lower);

        return $one_case && preg_match('/[2-7]/', $lower)
            && ($foreign === 0 || $foreign <= 2 && self::in_fours($text));
    }

    /** Whether at least five groups of four stand between the separators. */
    private static function in_fours($text)
    {
        $groups = preg_split('/' . self::SEPARATOR . '+/u', $text) ?: [];

        return count(array_filter($groups, function ($group) { return strlen($group) == 4; })) >= 5;
    }
}
