using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Shards.Files;

/// <summary>A tensor as a file's directory states it, its bytes checked to lie inside the file.</summary>
/// <param name="Name">The file's name for it.</param>
/// <param name="TypeName">The file's name for its element type.</param>
/// <param name="Format">The element type as the devices know it; null if they do not.</param>
/// <param name="Shape">Its dimensions, the contiguous one last.</param>
/// <param name="File">Where it lies.</param>
/// <param name="Offset">Its first byte in the file.</param>
/// <param name="ByteCount">Its bytes.</param>
internal sealed record TensorEntry(
    string Name, string TypeName, WeightFormat? Format, long[] Shape, MappedFile File, long Offset, long ByteCount)
{
    /// <summary>Its dimensions in the words of messages.</summary>
    public string ShapeText => $"[{string.Join(", ", Shape)}]";

    /// <summary>Requires that no two tensors of a file share bytes.</summary>
    /// <exception cref="ModelFileException">Two do.</exception>
    public static void RequireDisjoint(string path, IEnumerable<TensorEntry> entries)
    {
        TensorEntry? previous = null;
        foreach (TensorEntry entry in entries.Where(e => e.ByteCount > 0).OrderBy(e => e.Offset))
        {
            if (previous is not null && entry.Offset < previous.Offset + previous.ByteCount)
                throw new ModelFileException($"{path}: tensor {entry.Name} at byte {entry.Offset} overlaps tensor "
                    + $"{previous.Name}, "
                    + $"which has {previous.ByteCount} bytes from {previous.Offset}");
            previous = entry;
        }
    }
}
