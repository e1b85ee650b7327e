using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Shards.Files.Writing;

/// <summary>A tensor to be written.</summary>
/// <param name="Name">The file's name for it.</param>
/// <param name="Format">How it is stored.</param>
/// <param name="Shape">Its dimensions, the contiguous one last; one for a vector, two for a matrix.</param>
/// <param name="Fill">Makes the row of the given number, in the file's row order.</param>
internal sealed record TensorSpec(string Name, WeightFormat Format, int[] Shape, Action<int, Span<float>> Fill)
{
    /// <summary>Takes the place of <see cref="Fill"/> for rows that are stored in the format already: writes their bytes.</summary>
    public Action<int, Span<byte>>? Copy { get; init; }

    /// <summary>Rows; 1 for a vector.</summary>
    public int Rows => Shape.Length == 1 ? 1 : Shape[0];

    /// <summary>Elements of a row.</summary>
    public int Columns => Shape[^1];

    /// <summary>Bytes of a row.</summary>
    public long RowBytes => Format.RowBytes(Columns);

    /// <summary>Bytes in all.</summary>
    public long ByteCount => Rows * RowBytes;
}

/// <summary>A file to be written: its first bytes, and where each tensor lies in it.</summary>
/// <param name="Header">The bytes before the data.</param>
/// <param name="Tensors">Each tensor with its first byte in the file.</param>
/// <param name="Length">The file's length.</param>
internal sealed record TensorFileLayout(byte[] Header, IReadOnlyList<(TensorSpec Tensor, long Offset)> Tensors, long Length);
