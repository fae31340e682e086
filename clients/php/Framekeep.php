<?php

declare(strict_types=1);

namespace Framekeep;

use InvalidArgumentException;

/**
 * Signed links for a Framekeep server.
 *
 *     $links = new Signer('https://img.example.com', getenv('FRAMEKEEP_KEY'));
 *     $links->url('https://cdn.example.com/u/42.jpg', 'resize:800:600', 'convert:auto');
 *
 * Steps are as in a link; `step` writes one and encodes its values. Only their form is checked here: the
 * server checks operations, fields and bounds. Whatever no server takes is an InvalidArgumentException.
 */
final class Signer
{
    /** Each has about 30 % more bytes than the one before: bytes grow with pixels to the power of 0.8. */
    public const DEFAULT_WIDTHS = [
        320, 380, 450, 530, 620, 730, 860, 1020, 1200, 1420, 1680, 1980, 2340, 2760, 3250, 3840,
    ];

    public const FORMATS = ['avif', 'gif', 'heif', 'jpeg', 'jxl', 'png', 'webp'];

    /** The longest side that the server's operations take, in pixels. */
    public const MAX_SIDE = 16384;

    /** The steps after which a picture has the size that it had before. */
    public const SAME_SIZE_STEPS = [
        'attachment', 'auto_contrast', 'blur', 'blur_detections', 'contrast', 'convert', 'debug', 'denoise',
        'encode', 'expires', 'fallback', 'filename', 'flip', 'flop', 'gamma', 'gradient', 'grayscale',
        'invert_colors', 'keep', 'modulate', 'opacity', 'pixelate', 'pixelate_detections', 'quality',
        'remove_background', 'remove_transparency', 'sharpen', 'shift_colors', 'strip', 'tag', 'text',
        'threshold', 'tint', 'v', 'watermark',
    ];

    private const NAME = '/\A[a-z][a-z0-9_]*\z/';
    private const STEP = '/\A([a-z][a-z0-9_]*)(?::(?:[A-Za-z0-9._~!$&\'()*+,;=@:-]|%[0-9A-Fa-f]{2})*)?\z/';
    private const RESERVED = ['b64', 'data', 'http', 'https', 'upload'];
    private const UNSAFE = '/%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9._~:\/?@!$&\'()*+,;=%-]/';
    // What clients, proxies, CDNs or the commas of a srcset would change in a URL that is written out.
    private const FRAGILE = '/\/\/|\/(?:\.|%2e){1,2}(?:[\/?]|\z)|\/https?:\/|\A\/|\A\z|[?,]\z/i';

    // Their values may be any text, so one that begins with # is no color.
    private const FREE_TEXT = ['filename', 'tag', 'text', 'v'];

    private const GRID = '[A-Za-z0-9._-]+(?:,[A-Za-z0-9._-]+)*';
    private const NUMBER = '/\A[0-9]+(?:\.[0-9]+)?\z/';
    private const SIGNATURE = '/\A(?:_|[A-Za-z0-9_-]{22}|[A-Za-z0-9_-]{43})\z/';
    private const MAX_GRID = 10_000;

    private readonly string $base;
    private readonly ?string $key;

    /**
     * @param string $base the server's URL, with path prefix and mount point if it has them
     * @param ?string $key 16 to 128 bytes in hexadecimal; with null, links are unsigned, and servers take
     *     them only with FRAMEKEEP_LINKS_ALLOW_UNSIGNED
     */
    public function __construct(string $base, #[\SensitiveParameter] ?string $key)
    {
        if (!preg_match('/\Ahttps?:\/\/[^\/]/i', $base)) {
            throw new InvalidArgumentException('base must be an http:// or https:// URL');
        }
        if ($key !== null && !preg_match('/\A(?:[0-9A-Fa-f]{2}){16,128}\z/', $key)) {
            throw new InvalidArgumentException('key must be 16 to 128 bytes in hexadecimal');
        }
        $this->base = rtrim($base, '/');
        $this->key = $key === null ? null : hex2bin($key);
    }

    /**
     * Write a step, with its values percent-encoded: step('text', ['50 % off'], ['size' => 40]).
     *
     * Colors are written without `#`: `#f80` as `FF8800`.
     */
    public static function step(string $name, array $values = [], array $fields = []): string
    {
        if (!preg_match(self::NAME, $name)) {
            throw new InvalidArgumentException("step: '$name' is not a name of a step");
        }
        if (!in_array($name, self::FREE_TEXT, true)) {
            $values = array_map(self::bareColor(...), $values);
        }
        $parts = [$name, ...array_map(self::formatValue(...), array_values($values))];
        foreach ($fields as $field => $value) {
            $isColor = preg_match('/\A(?:.*_)?(?:color|background)\z/', $field);
            $parts[] = $field . '=' . self::formatValue($isColor ? self::bareColor($value) : $value);
        }
        return implode(':', $parts);
    }

    /** Build the link of a source: an http(s) URL, or ALIAS:path. */
    public function url(string $source, string ...$steps): string
    {
        foreach ($steps as $step) {
            self::stepName($step);
        }
        $path = '/' . implode('/', [...array_values($steps), self::encodeSource($source)]);
        return $this->base . '/' . $this->sign($path) . $path;
    }

    /**
     * Build one link for each width that the original and the box allow, smallest first.
     *
     * Each link resizes first; the steps come after that and may not change the size.
     *
     * @param list<string> $steps
     * @param array{int, int} $original width and height of the original as it is shown, as `info` tells
     * @param ?list<int> $widths in pixels; DEFAULT_WIDTHS if they are null
     * @param ?array{int, int} $ratio aspect ratio to crop to, such as [16, 9]
     * @param string $crop what to keep with a ratio: the subject ('smart') or the 'center'
     * @return list<array{url: string, width: int, height: int}>
     */
    public function candidates(
        string $source,
        array $steps,
        array $original,
        ?array $widths = null,
        ?array $ratio = null,
        string $crop = 'smart',
        int $maxWidth = self::MAX_SIDE,
        int $maxHeight = self::MAX_SIDE,
    ): array {
        foreach ($steps as $step) {
            if (!in_array(self::stepName($step), self::SAME_SIZE_STEPS, true)) {
                throw new InvalidArgumentException(
                    'srcset: ' . self::stepName($step)
                    . ' may change the size; use widths, ratio, maxWidth and maxHeight instead'
                );
            }
        }
        if (!in_array($crop, ['smart', 'center'], true)) {
            throw new InvalidArgumentException('crop must be smart or center');
        }
        [$across, $down] = $ratio ?? $original;
        $candidates = [];
        foreach (self::trueWidths($original, $widths, $across, $down, $maxWidth, $maxHeight) as $width) {
            $height = max(1, intdiv(2 * $width * $down + $across, 2 * $across));
            $operation = $crop === 'smart' ? 'smart_crop' : 'resize';
            $resize = $ratio === null ? "resize:$width" : "$operation:$width:$height";
            $url = $this->url($source, $resize, ...$steps);
            $candidates[] = ['url' => $url, 'width' => $width, 'height' => $height];
        }
        return $candidates;
    }

    /** Build a srcset attribute; the arguments are those of candidates(). Escape it for HTML. */
    public function srcset(string $source, array $steps, array $original, mixed ...$options): string
    {
        return self::join($this->candidates($source, $steps, $original, ...$options));
    }

    /**
     * Build the attributes of a `<picture>`; the last format is that of its `<img>`. Escape them for HTML.
     *
     * With $art, the picture has another aspect ratio where a media condition holds; the first condition
     * that holds counts. The other $options are those of candidates().
     *
     * @param list<string> $steps
     * @param array{int, int} $original
     * @param list<string> $formats
     * @param list<array{media: string, ratio: array{int, int}, sizes?: string}> $art
     * @return array{
     *     sources: list<array{media: ?string, type: string, srcset: string, sizes: string, width: int, height: int}>,
     *     src: string, srcset: string, sizes: string, width: int, height: int,
     * }
     */
    public function picture(
        string $source,
        array $steps,
        array $original,
        array $formats = ['avif', 'webp', 'jpeg'],
        string $sizes = '100vw',
        array $art = [],
        ?array $ratio = null,
        mixed ...$options,
    ): array {
        if (in_array('convert', array_map(self::stepName(...), $steps), true)) {
            throw new InvalidArgumentException('picture: name the formats in formats, not in a convert step');
        }
        if ($formats === [] || array_diff($formats, self::FORMATS) !== []) {
            throw new InvalidArgumentException(
                'picture: formats must be some of ' . implode(', ', self::FORMATS)
            );
        }
        if (array_filter($art, static fn($one) => trim($one['media'] ?? '') === '') !== []) {
            throw new InvalidArgumentException(
                'picture: media must be a media condition, such as (max-width: 40em)'
            );
        }
        $sources = [];
        foreach ([...$art, ['media' => null, 'ratio' => $ratio]] as $one) {
            foreach ($formats as $format) {
                $all = [...$steps, "convert:$format"];
                $candidates = $this->candidates($source, $all, $original, ...$options, ratio: $one['ratio']);
                $largest = end($candidates);
                $sources[] = [
                    'media' => $one['media'],
                    'type' => "image/$format",
                    'srcset' => self::join($candidates),
                    'sizes' => $one['sizes'] ?? $sizes,
                    'width' => $largest['width'],
                    'height' => $largest['height'],
                ];
            }
        }
        ['srcset' => $srcset, 'sizes' => $sizes, 'width' => $width, 'height' => $height] = array_pop($sources);
        return [
            'sources' => $sources, 'src' => $largest['url'], 'srcset' => $srcset, 'sizes' => $sizes,
            'width' => $width, 'height' => $height,
        ];
    }

    /**
     * Build a rule link: some values are left open, and choose() fills them in, without a key.
     *
     *     $links->rule('media:users/42.jpg', 'resize:{320,640,1280}', 'convert:{avif,webp,jpeg}');
     */
    public function rule(string $source, string ...$steps): string
    {
        $open = '/(:(?:[a-z][a-z0-9_]*=)?)\{(' . self::GRID . ')\}(?=:|\z)/';
        $written = preg_replace($open, '$1%7B$2%7D', $steps);
        array_map(self::stepName(...), $written);
        if ($written === $steps) {
            throw new InvalidArgumentException(
                'rule: no field is left open; write the values that it may have, such as resize:{320,640,1280}'
            );
        }
        $encoded = self::encodeSource($source);
        if (preg_match('/%7B|%7D|[{}]/i', $encoded) && !str_starts_with($encoded, 'b64:')) {
            $isUrl = preg_match('/\Ahttps?:\/\//', $encoded);
            $encoded = 'b64:' . self::base64Url($isUrl ? $encoded : $source);
        }
        $path = '/' . implode('/', [...$written, $encoded]);
        return $this->base . '/' . $this->sign($path) . $path;
    }

    /**
     * Choose the values of a rule link's open fields, in their order. This needs no key. Values that were
     * chosen before are replaced.
     *
     * A number that is not among the values of its field becomes the next larger one, or the largest.
     */
    public static function choose(string $link, string|int|float ...$values): string
    {
        $segments = explode('/', $link);
        $fields = array_map(
            static fn($segment) => array_values(
                array_filter(array_map(self::grid(...), array_slice(explode(':', $segment), 1)))
            ),
            $segments,
        );
        // The signature is the nearest segment before the first open field that looks like one.
        $at = (int) array_key_first(array_filter($fields));
        while ($at > 0 && !preg_match(self::SIGNATURE, $segments[$at])) {
            $at--;
        }
        if ($at === 0) {
            throw new InvalidArgumentException('choose: this is not a rule link');
        }
        $grids = array_merge(...array_slice($fields, $at));
        if (count($grids) !== count($values)) {
            throw new InvalidArgumentException(
                'choose: the link has ' . count($grids) . ' open fields, and ' . count($values)
                . ' values are given'
            );
        }
        $after = array_slice($segments, $at + 1);
        if (str_starts_with($after[0], 'choose:')) {
            array_shift($after);
        }
        $chosen = implode(':', array_map(self::nearest(...), $grids, array_values($values)));
        return implode('/', [...array_slice($segments, 0, $at + 1), "choose:$chosen", ...$after]);
    }

    /** Write the widths of a srcset as the open field of a rule: {320,640,1000}. */
    public static function widthGrid(
        array $original,
        ?array $widths = null,
        ?array $ratio = null,
        int $maxWidth = self::MAX_SIDE,
        int $maxHeight = self::MAX_SIDE,
    ): string {
        [$across, $down] = $ratio ?? $original;
        $true = self::trueWidths($original, $widths, $across, $down, $maxWidth, $maxHeight);
        return '{' . implode(',', $true) . '}';
    }

    /** The values of an open field; none if it is not one. */
    private static function grid(string $value): array
    {
        $open = '/\A(?:[a-z][a-z0-9_]*=)?(?:%7B|\{)(' . self::GRID . ')(?:%7D|\})\z/i';
        if (!preg_match($open, $value, $match)) {
            return [];
        }
        if (!preg_match('/\A([0-9]+)\.\.([0-9]+)(?:\.\.([0-9]+))?\z/', $match[1], $range)) {
            return explode(',', $match[1]);
        }
        [$start, $end, $step] = [(float) $range[1], (float) $range[2], (float) ($range[3] ?? 1)];
        $count = $step > 0 ? floor(($end - $start) / $step) + 1 : 0;
        if ($count < 1 || $count > self::MAX_GRID) {
            throw new InvalidArgumentException(
                "choose: $match[1] is not a range of 1 to " . self::MAX_GRID . ' values'
            );
        }
        return array_map('strval', range((int) $start, (int) ($start + ($count - 1) * $step), (int) $step));
    }

    private static function nearest(array $grid, string|int|float $value): string
    {
        $text = (string) $value;
        if (in_array($text, $grid, true)) {
            return $text;
        }
        $numbers = array_values(array_filter($grid, static fn($one) => preg_match(self::NUMBER, $one)));
        if ($numbers === [] || !preg_match(self::NUMBER, $text)) {
            throw new InvalidArgumentException(
                "choose: '" . substr($text, 0, 40) . "' is not one of " . implode(', ', $grid)
            );
        }
        usort($numbers, static fn($a, $b) => (float) $a <=> (float) $b);
        foreach ($numbers as $number) {
            if ((float) $number >= (float) $text) {
                return $number;
            }
        }
        return end($numbers);
    }

    private static function join(array $candidates): string
    {
        return implode(', ', array_map(static fn($one) => "{$one['url']} {$one['width']}w", $candidates));
    }

    private function sign(string $path): string
    {
        if ($this->key === null) {
            return '_';
        }
        return self::base64Url(substr(hash_hmac('sha256', $path, $this->key, true), 0, 16));
    }

    private static function stepName(string $step): string
    {
        if (!preg_match(self::STEP, $step, $match) || in_array($match[1], self::RESERVED, true)) {
            throw new InvalidArgumentException(
                "step '" . substr($step, 0, 60) . "' is not written as in a link, such as resize:800:600; "
                . 'use step() to encode its values'
            );
        }
        return $match[1];
    }

    private static function bareColor(mixed $value): mixed
    {
        if (!is_string($value) || !preg_match('/\A#(?:[0-9a-f]{3}|[0-9a-f]{6})\z/i', $value)) {
            return $value;
        }
        $digits = strtoupper(substr($value, 1));
        return strlen($digits) === 6 ? $digits : preg_replace('/./', '$0$0', $digits);
    }

    private static function formatValue(mixed $value): string
    {
        if (is_array($value)) {
            return implode(',', array_map(self::formatValue(...), $value));
        }
        if (is_bool($value)) {
            return $value ? 'true' : 'false';
        }
        if (is_float($value)) {
            $text = floor($value) === $value ? number_format($value, 0, '.', '') : var_export($value, true);
            if (!preg_match('/\A-?[0-9]+(\.[0-9]+)?\z/', $text)) {
                throw new InvalidArgumentException("step: the number $value cannot be written in a link");
            }
            return $text;
        }
        return rawurlencode((string) $value);
    }

    /** The widths, and the largest width that original and box allow in that shape. */
    private static function trueWidths(
        array $original,
        ?array $widths,
        mixed $across,
        mixed $down,
        int $maxWidth,
        int $maxHeight,
    ): array {
        $groups = [
            'original' => $original, 'ratio' => [$across, $down], 'widths' => $widths ?? [],
            'maxWidth' => [$maxWidth], 'maxHeight' => [$maxHeight],
        ];
        foreach ($groups as $name => $values) {
            foreach ($values as $value) {
                if (!is_int($value) || $value < 1 || $value > 1_000_000) {
                    throw new InvalidArgumentException("srcset: $name must be whole numbers from 1 to 1000000");
                }
            }
        }
        $boxWidth = min($original[0], $maxWidth, self::MAX_SIDE);
        $boxHeight = min($original[1], $maxHeight, self::MAX_SIDE);
        $largest = min($boxWidth, intdiv($boxHeight * $across, $down));
        if ($largest === 0) {
            throw new InvalidArgumentException(
                'srcset: not one pixel of that shape fits into the original and the box'
            );
        }
        // Less than half a step below the largest is too near to be worth an image.
        $margin = $widths === null ? 12 : 11;
        $isSmaller = static fn($width) => $width * $margin < $largest * 11;
        $smaller = array_unique(array_filter($widths ?? self::DEFAULT_WIDTHS, $isSmaller));
        sort($smaller);
        return [...$smaller, $largest];
    }

    private static function encodeSource(string $source): string
    {
        if (preg_match('/[\x00-\x1f\x7f]/', $source)) {
            throw new InvalidArgumentException('source contains a control character');
        }
        if (preg_match('/\A(https?):\/\/([^\/?]+)(.*)\z/is', $source, $url)) {
            return self::encodeUrl(strtolower($url[1]), $url[2], $url[3]);
        }
        if (
            !preg_match('/\A([a-z][a-z0-9_-]{0,31}):(.+)\z/s', $source, $alias)
            || in_array($alias[1], self::RESERVED, true)
        ) {
            throw new InvalidArgumentException('source must be an http:// or https:// URL, or ALIAS:path');
        }
        if (preg_match(self::FRAGILE, $alias[2])) {
            return 'b64:' . self::base64Url($source);
        }
        return $alias[1] . ':' . str_replace('%2F', '/', rawurlencode($alias[2]));
    }

    private static function encodeUrl(string $scheme, string $host, string $target): string
    {
        if (str_contains($host . $target, '#')) {
            throw new InvalidArgumentException('source has a fragment; remove it, or write # as %23');
        }
        if (str_contains($host . $target, '\\') || strpbrk($host, ' @') !== false) {
            throw new InvalidArgumentException('source has a backslash, a user name or a space in its host');
        }
        $target = preg_replace_callback(self::UNSAFE, static fn($found) => rawurlencode($found[0]), $target);
        $text = "$scheme://$host$target";
        $isSafe = !preg_match(self::UNSAFE, $host) && !preg_match(self::FRAGILE, $host . $target);
        return $isSafe ? $text : 'b64:' . self::base64Url($text);
    }

    private static function base64Url(string $bytes): string
    {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }
}
