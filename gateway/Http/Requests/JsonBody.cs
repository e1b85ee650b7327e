using System.Buffers;
using System.Text.Json;
using System.Text.Unicode;
using Llama3Cluster.Gateway.Http.Errors;
using Microsoft.Net.Http.Headers;

namespace Llama3Cluster.Gateway.Http.Requests;

/// <summary>Reads a request's body as strict JSON: bounded, valid UTF-8, one object, no field twice.</summary>
internal static class JsonBody
{
    /// <summary>What is allocated on the word of a header alone.</summary>
    private const int MaxFirstBuffer = 64 * 1024;

    private static readonly JsonDocumentOptions Options = new() { AllowDuplicateProperties = false, MaxDepth = 32 };

    /// <exception cref="ApiException">The body cannot be used.</exception>
    public static async Task<JsonDocument> ReadAsync(HttpContext context, int maxBytes)
    {
        CheckContentType(context.Request);
        if (context.Request.ContentLength > maxBytes)
            throw TooLarge(maxBytes);

        ArrayBufferWriter<byte> body;
        try
        {
            body = await ReadBytesAsync(context, maxBytes);
        }
        catch (BadHttpRequestException error) when (error.StatusCode == StatusCodes.Status413PayloadTooLarge)
        {
            // The server counted faster.
            throw TooLarge(maxBytes);
        }

        if (!Utf8.IsValid(body.WrittenSpan))
            throw Invalid("it is not valid UTF-8.");
        return Parse(body.WrittenMemory);
    }

    private static async Task<ArrayBufferWriter<byte>> ReadBytesAsync(HttpContext context, int maxBytes)
    {
        var body = new ArrayBufferWriter<byte>((int)Math.Min(context.Request.ContentLength ?? 4096, MaxFirstBuffer) + 1);
        while (true)
        {
            // One byte past the limit is enough to know.
            Memory<byte> free = body.GetMemory();
            int read = await context.Request.Body.ReadAsync(
                free[..Math.Min(free.Length, maxBytes + 1 - body.WrittenCount)], context.RequestAborted);
            if (read == 0)
                return body;
            body.Advance(read);
            if (body.WrittenCount > maxBytes)
                throw TooLarge(maxBytes);
        }
    }

    private static JsonDocument Parse(ReadOnlyMemory<byte> body)
    {
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(body, Options);
        }
        catch (JsonException error)
        {
            throw Invalid(error.Message);
        }
        catch (InvalidOperationException)
        {
            // A field name with half a surrogate pair in its escapes.
            throw Invalid("a field name has an incomplete \\u escape.");
        }

        if (document.RootElement.ValueKind == JsonValueKind.Object)
            return document;
        string got = JsonFields.Describe(document.RootElement);
        document.Dispose();
        throw Invalid($"expected an object, but got {got} instead.");
    }

    private static void CheckContentType(HttpRequest request)
    {
        bool json = MediaTypeHeaderValue.TryParse(request.ContentType, out MediaTypeHeaderValue? type)
            && type.MediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase)
            && (!type.Charset.HasValue || type.Charset.Equals("utf-8", StringComparison.OrdinalIgnoreCase));
        if (!json)
        {
            string got = string.IsNullOrEmpty(request.ContentType) ? "no Content-Type" : $"Content-Type '{request.ContentType}'";
            throw new ApiException(
                StatusCodes.Status415UnsupportedMediaType,
                $"Expected Content-Type application/json in UTF-8, but got {got}.",
                null,
                "unsupported_media_type");
        }
    }

    private static ApiException Invalid(string reason) =>
        ApiException.BadRequest($"The request's body is not the JSON that is expected: {reason}", null, "invalid_json");

    private static ApiException TooLarge(int maxBytes) => new(
        StatusCodes.Status413PayloadTooLarge, $"The request's body is larger than {maxBytes} bytes.", null, "request_too_large");
}
