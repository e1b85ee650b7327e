using Llama3Cluster.Actors.Inference;

namespace Llama3Cluster.Gateway.Http.Errors;

/// <summary>A request that is answered with an error in OpenAI's shape.</summary>
internal sealed class ApiException(int status, string message, string? parameter = null, string? code = null) : Exception(message)
{
    /// <summary>The HTTP status.</summary>
    public int Status { get; } = status;

    /// <summary>Seconds after which trying again makes sense.</summary>
    public int? RetryAfterSeconds { get; init; }

    /// <summary>The error as the client sees it.</summary>
    public ErrorDetail Detail { get; } = new(message, TypeOf(status), parameter, code);

    public static ApiException BadRequest(string message, string? parameter, string code) =>
        new(StatusCodes.Status400BadRequest, message, parameter, code);

    public static ApiException UnknownParameter(string parameter) =>
        BadRequest($"Unknown parameter: '{parameter}'.", parameter, "unknown_parameter");

    public static ApiException MissingParameter(string parameter) =>
        BadRequest($"Missing required parameter: '{parameter}'.", parameter, "missing_required_parameter");

    public static ApiException InvalidType(string parameter, string expected, string got) =>
        BadRequest($"Invalid type for '{parameter}': expected {expected}, but got {got} instead.", parameter, "invalid_type");

    public static ApiException InvalidValue(string parameter, string reason) =>
        BadRequest($"Invalid '{parameter}': {reason}", parameter, "invalid_value");

    public static ApiException Unsupported(string parameter, string reason) =>
        BadRequest($"Unsupported parameter: '{parameter}'. {reason}", parameter, "unsupported_parameter");

    public static ApiException ModelNotFound(string asked, string served) => new(
        StatusCodes.Status404NotFound,
        $"The model '{asked}' is not served here. This cluster serves '{served}'.",
        "model",
        "model_not_found");

    /// <summary>What a failed generation is to a client.</summary>
    /// <param name="failure">The service's account of it.</param>
    /// <param name="promptParameter">The request field that holds the prompt.</param>
    public static ApiException Of(GenerationEvent.Failed failure, string promptParameter)
    {
        (int status, string? parameter, string code) = failure.Code switch
        {
            FailureCode.InvalidRequest => (StatusCodes.Status400BadRequest, null, "invalid_request"),
            FailureCode.ContextLengthExceeded => (StatusCodes.Status400BadRequest, promptParameter, "context_length_exceeded"),
            FailureCode.QueueFull => (StatusCodes.Status429TooManyRequests, null, "rate_limit_exceeded"),
            FailureCode.NotFound => (StatusCodes.Status404NotFound, null, "generation_not_found"),
            FailureCode.Unavailable => (StatusCodes.Status503ServiceUnavailable, null, "unavailable"),
            _ => (StatusCodes.Status500InternalServerError, (string?)null, "generation_failed"),
        };
        // A 429 without a time makes clients retry at once.
        int? retry = failure.RetryAfterSeconds ?? (status == StatusCodes.Status429TooManyRequests ? 1 : null);
        return new ApiException(status, failure.Message, parameter, code) { RetryAfterSeconds = retry };
    }

    private static string TypeOf(int status) => status switch
    {
        StatusCodes.Status401Unauthorized => "authentication_error",
        StatusCodes.Status429TooManyRequests => "rate_limit_error",
        >= 500 => "server_error",
        _ => "invalid_request_error",
    };
}
