using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Shards.Tests.Files;

/// <summary>What tests ask of opening a model.</summary>
internal static class ModelFileAssert
{
    /// <summary>What refusing a file of a few kilobytes may allocate; a hostile number that is believed allocates far more.</summary>
    public const long AllocationLimit = 8 << 20;

    /// <summary>Opening must fail with a message that has the given part, and without allocating by the file's numbers.</summary>
    public static void Refused(string path, string messagePart)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        var error = Assert.Throws<ModelFileException>(() => ModelFile.Open(path).Dispose());
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.Contains(messagePart, error.Message, StringComparison.Ordinal);
        Assert.InRange(allocated, 0, AllocationLimit);
    }

    /// <summary>A tensor's elements.</summary>
    public static float[] Values(TensorData data)
    {
        var values = new float[data.Rows * data.Columns];
        for (int row = 0; row < data.Rows; row++)
            BlockCodec.Dequantize(data.Format, data.Row(row), values.AsSpan(row * data.Columns, data.Columns));
        return values;
    }

    /// <summary>The elements that a test file was given.</summary>
    public static float[] Floats(byte[] bytes) => System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(bytes).ToArray();
}
