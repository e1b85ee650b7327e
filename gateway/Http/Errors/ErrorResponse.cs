namespace Llama3Cluster.Gateway.Http.Errors;

/// <summary>An error as OpenAI's API shapes it.</summary>
internal sealed record ErrorResponse(ErrorDetail Error);

/// <summary>What went wrong.</summary>
/// <param name="Message">The reason, with the numbers and the remedy.</param>
/// <param name="Type">The kind of error.</param>
/// <param name="Param">The request field at fault.</param>
/// <param name="Code">The error's machine-readable name.</param>
internal sealed record ErrorDetail(string Message, string Type, string? Param, string? Code);
