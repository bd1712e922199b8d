<?php
// Asks a service with PHP's curl, offering HTTP/2 over one connection. Prints a line for each answer.
[, $service, $picture] = $argv;
$client = curl_init();

function ask(string $address, array $options): void
{
    global $client;
    curl_reset($client);
    curl_setopt_array($client, $options + [
        CURLOPT_URL => $address,
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_HTTP_VERSION => CURL_HTTP_VERSION_2_0,
    ]);
    $body = curl_exec($client);
    echo curl_getinfo($client, CURLINFO_RESPONSE_CODE), ' HTTP ', $body, "\n";
}

$json = [CURLOPT_POSTFIELDS => '{"hours": 4}', CURLOPT_HTTPHEADER => ['Content-Type: application/json']];
ask("$service/predict/pass", $json);
ask("$service/predict/pass", $json);
ask("$service/predict/digit", [
    CURLOPT_POSTFIELDS => file_get_contents($picture),
    CURLOPT_HTTPHEADER => ['Content-Type: image/png'],
]);
ask("$service/predict/digit", [CURLOPT_POSTFIELDS => ['file' => new CURLFile($picture, 'image/png')]]);
ask("$service/health/live", [CURLOPT_NOBODY => true]);
