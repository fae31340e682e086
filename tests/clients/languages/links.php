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
        'max_width' => 'maxWidth', 'max_height' => 'maxHeight', 'formats' => 'formats', 'sizes' => 'sizes',
    ];
    $options = [];
    foreach ($names as $name => $argument) {
        if (isset($case[$name])) {
            $options[$argument] = $case[$name];
        }
    }
    foreach ($case['art'] ?? [] as $one) {
        $options['art'][] = array_combine(array_slice(['media', 'ratio', 'sizes'], 0, count($one)), $one);
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
$picture = fn($case) => $signer->picture($case['source'], $case['steps'], ...options($case));
$rule = fn($case) => $signer->rule($case['source'], ...$case['steps']);
$choose_all = fn($link, $case) => array_map(
    fn($choice) => Signer::choose($link, ...$choice['values']),
    $case['choices'],
);
$call = fn($case) => match ($case['call']) {
    'url' => $signer->url($case['source'], ...$case['steps']),
    'step' => $step($case),
    'srcset' => $srcset($case),
    'picture' => $picture($case),
    'rule' => $rule($case),
    'choose' => Signer::choose($signer->rule('media:a.jpg', ...$case['steps']), ...$case['values']),
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
    'width_grids' => array_map(
        fn($case) => Signer::widthGrid(...array_diff_key(options($case), ['crop' => 0])),
        $vectors['srcsets'],
    ),
    'pictures' => array_map($picture, $vectors['pictures']),
    'rules' => array_map($rule, $vectors['rules']),
    'choices' => array_map(fn($case) => $choose_all($case['rule'], $case), $vectors['rules']),
    'chosen_again' => array_map(fn($case) => $choose_all($case['choices'][0]['url'], $case), $vectors['rules']),
    'default_widths' => Signer::DEFAULT_WIDTHS,
    'refused' => array_map(fn($case) => is_refused(fn() => $call($case)), $vectors['refused']),
    'bad_keys' => array_map(
        fn($key) => is_refused(fn() => new Signer($vectors['base'], $key)),
        $vectors['bad_keys'],
    ),
    'same_size_steps' => Signer::SAME_SIZE_STEPS,
], JSON_THROW_ON_ERROR);
