namespace Llama3Cluster.Shards.Execution;

/// <summary>A step that a stage will not compute because it does not fit what the stage holds; the message gives the numbers.</summary>
public sealed class StepRefusedException(string message) : Exception(message);
