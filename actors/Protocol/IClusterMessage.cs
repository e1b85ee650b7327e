namespace Llama3Cluster.Actors.Protocol;

/// <summary>A message that may cross nodes: it is written by the control serializer, under a short manifest.</summary>
public interface IClusterMessage;

/// <summary>A message for the generation entity of that id.</summary>
public interface IGenerationMessage : IClusterMessage
{
    /// <summary>The request's id.</summary>
    string GenerationId { get; }
}

/// <summary>A message for the replica entity of that id.</summary>
public interface IReplicaMessage : IClusterMessage
{
    /// <summary>The replica's id.</summary>
    string ReplicaId { get; }
}
