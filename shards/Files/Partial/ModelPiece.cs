namespace Llama3Cluster.Shards.Files.Partial;

/// <summary>What is copied and checked at a time: a tensor, or a megabyte of it.</summary>
/// <param name="File">Index of the file.</param>
/// <param name="Offset">Its first byte.</param>
/// <param name="Count">Its bytes.</param>
public readonly record struct ModelPiece(int File, long Offset, int Count)
{
    /// <summary>Most bytes of a piece.</summary>
    public const int MostBytes = 1 << 20;

    /// <summary>Cuts an extent, the same way every time.</summary>
    public static IEnumerable<ModelPiece> Cut(FileExtent extent)
    {
        for (long done = 0; done < extent.Count; done += MostBytes)
            yield return new ModelPiece(extent.File, extent.Offset + done, (int)Math.Min(MostBytes, extent.Count - done));
    }
}
