<?php

// Arguments: Framekeep.php and vectors.json. Prints what the client makes of each vector.

declare(strict_types=1);

require $argv[1];

use Framekeep\Signer;

$vectors = json_decode(file_get_contents($argv[2]), true, flags: JSON_THROW_ON_ERROR);
$signer = new Signer($vectors['base'], $vectors['key']);
$unsigned = new Signer($vectors['base'], null);

function options(array $case): array
{
    $names = [
        'original' => 'original', 'widths' => 'widths', 'ratio' => 'ratio', 'crop' => 'crop',
        'max_width' => 'maxWidth', 'max_height' => 'maxHeight',
    ];
    $options = [];
    foreach ($names as $name => $argument) {
        if (isset($case[$name])) {
            $options[$argument] = $case[$name];
        }
    }
    return $options;
}

function is_refused(callable $call): bool
{
    try {
        $call();
        return false;
    } catch (InvalidArgumentException) {
        return true;
    }
}

$step = fn($case) => Signer::step($case['name'], $case['values'], $case['fields']);
$srcset = fn($case) => $signer->srcset($case['source'], $case['steps'], ...options($case));
$call = fn($case) => match ($case['call']) {
    'url' => $signer->url($case['source'], ...$case['steps']),
    'step' => $step($case),
    'srcset' => $srcset($case),
};

echo json_encode([
    'links' => array_map(fn($case) => $signer->url($case['source'], ...$case['steps']), $vectors['links']),
    'unsigned' => array_map(fn($case) => $unsigned->url($case['source'], ...$case['steps']), $vectors['links']),
    'steps' => array_map($step, $vectors['steps']),
    'srcsets' => array_map($srcset, $vectors['srcsets']),
    'candidates' => array_map(
        fn($case) => $signer->candidates($case['source'], $case['steps'], ...options($case)),
        $vectors['srcsets'],
    ),
    'refused' => array_map(fn($case) => is_refused(fn() => $call($case)), $vectors['refused']),
    'bad_keys' => array_map(
        fn($key) => is_refused(fn() => new Signer($vectors['base'], $key)),
        $vectors['bad_keys'],
    ),
    'same_size_steps' => Signer::SAME_SIZE_STEPS,
], JSON_THROW_ON_ERROR);
