namespace Llama3Cluster.Shards.Files.Writing;

/// <summary>How far the writing of a model is.</summary>
/// <param name="Tensor">A tensor that has just been worked on.</param>
/// <param name="Bytes">Bytes of weights written so far.</param>
/// <param name="TotalBytes">Bytes of weights that the model has.</param>
public readonly record struct WritingProgress(string Tensor, long Bytes, long TotalBytes);
