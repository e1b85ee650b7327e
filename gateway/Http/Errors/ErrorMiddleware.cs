using System.Globalization;
using Llama3Cluster.Gateway.Http.Responses;

namespace Llama3Cluster.Gateway.Http.Errors;

/// <summary>Gives every failed request, the router's own refusals included, a body in OpenAI's error shape.</summary>
internal sealed class ErrorMiddleware(RequestDelegate next, ILogger<ErrorMiddleware> logger)
{
    public async Task InvokeAsync(HttpContext context)
    {
        try
        {
            await next(context);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested || context.Response.HasStarted)
        {
            // Nobody is there to read an answer.
            return;
        }
        catch (ApiException error) when (!context.Response.HasStarted)
        {
            await WriteAsync(context, error);
            return;
        }
        catch (BadHttpRequestException error) when (!context.Response.HasStarted)
        {
            await WriteAsync(context, new ApiException(error.StatusCode, error.Message, null, "bad_request"));
            return;
        }
        catch (Exception error) when (!context.Response.HasStarted)
        {
            logger.LogError(error, "{Method} {Path} failed.", context.Request.Method, context.Request.Path);
            await WriteAsync(context, Internal());
            return;
        }

        bool empty = context.Response is { HasStarted: false, ContentType: null, ContentLength: null };
        if (empty && RouterError(context) is { } refusal)
            await WriteAsync(context, refusal);
    }

    /// <summary>What a client may know of an unexpected error; the log has the rest.</summary>
    public static ApiException Internal() => new(
        StatusCodes.Status500InternalServerError,
        "The gateway failed to handle the request; its log says why.",
        null,
        "internal_error");

    private static ApiException? RouterError(HttpContext context)
    {
        HttpRequest request = context.Request;
        int status = context.Response.StatusCode;
        return status switch
        {
            StatusCodes.Status404NotFound =>
                new(status, $"Unknown URL: {request.Method} {request.Path}.", null, "unknown_url"),
            StatusCodes.Status405MethodNotAllowed => new(
                status,
                $"{request.Path} does not take {request.Method}, only {context.Response.Headers.Allow}.",
                null,
                "method_not_allowed"),
            >= 400 => new(status, $"The request was refused with HTTP status {status}.", null, "bad_request"),
            _ => null,
        };
    }

    private static Task WriteAsync(HttpContext context, ApiException error)
    {
        HttpResponse response = context.Response;
        // Clear() would also drop what routing and CORS set: Allow, Access-Control-Allow-Origin.
        response.StatusCode = error.Status;
        response.ContentLength = null;
        if (error.RetryAfterSeconds is { } seconds)
            response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        return response.WriteAsJsonAsync(
            new ErrorResponse(error.Detail), ApiJson.Web.ErrorResponse, cancellationToken: context.RequestAborted);
    }
}
