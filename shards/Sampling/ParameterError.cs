namespace Llama3Cluster.Shards.Sampling;

/// <summary>A sampling parameter that cannot be honoured.</summary>
/// <param name="Parameter">Its name as HTTP clients write it, such as <c>top_p</c>.</param>
/// <param name="Message">What is wrong, with the parameter's name, its value and the range.</param>
public sealed record ParameterError(string Parameter, string Message);
