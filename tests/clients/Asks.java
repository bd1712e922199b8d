import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;

/** Asks a service as Java does when nothing is set: every request offers HTTP/2. Prints a line for each answer. */
class Asks {
    static final HttpClient CLIENT = HttpClient.newHttpClient();

    static void ask(HttpRequest.Builder request) throws Exception {
        var answer = CLIENT.send(request.build(), BodyHandlers.ofString());
        System.out.println(answer.statusCode() + " " + answer.version() + " " + answer.body());
    }

    static HttpRequest.Builder to(String address, String contentType) {
        return HttpRequest.newBuilder(URI.create(address)).header("Content-Type", contentType);
    }

    public static void main(String[] arguments) throws Exception {
        String service = arguments[0];
        byte[] picture = Files.readAllBytes(Path.of(arguments[1]));
        var hours = BodyPublishers.ofString("{\"hours\": 4}");
        ask(to(service + "/predict/pass", "application/json").POST(hours));
        ask(to(service + "/predict/pass", "application/json").POST(hours).expectContinue(true));
        ask(to(service + "/predict/digit", "image/png").POST(BodyPublishers.ofByteArray(picture)));
        var streamed = BodyPublishers.ofInputStream(() -> new java.io.ByteArrayInputStream(picture));
        ask(to(service + "/predict/digit", "image/png").POST(streamed)); // in chunks
        var form = new ByteArrayOutputStream();
        form.write("--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n".getBytes());
        form.write(picture);
        form.write("\r\n--b--\r\n".getBytes());
        var parts = BodyPublishers.ofByteArray(form.toByteArray());
        ask(to(service + "/predict/digit", "multipart/form-data; boundary=b").POST(parts));
        ask(HttpRequest.newBuilder(URI.create(service + "/health/live")));
        ask(HttpRequest.newBuilder(URI.create(service + "/health/live")).method("HEAD", BodyPublishers.noBody()));
    }
}
