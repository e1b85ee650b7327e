using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Reference;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Slices;
using Llama3Cluster.Shards.Tests.Files;

namespace Llama3Cluster.Shards.Tests.Slices;

public sealed class SliceMemoryTests
{
    private const int Context = 256;
    private const int Rows = 32;

    [Fact]
    public void Slices_together_must_take_what_the_whole_model_does_but_for_their_buffers()
    {
        using ModelFile file = ModelFile.Open(SharedModels.Demo);
        SliceMemory whole = Memory(file, 1), parts = Memory(file, 4);

        // 8 layers of 2 norms and one before the head, 128 gains each in float32; keys and values of 2 heads of 32 in half precision.
        Assert.Equal((2 * 8 + 1) * 128 * 4, whole.WeightCopyBytes);
        Assert.Equal(8L * 2 * Context * 2 * 32 * 2, whole.KvBytes);
        Assert.Equal(ModelSlice.BytesOf(file, SliceRange.Whole(8)), whole.MappedBytes);

        // The tied head is mapped by the last slice too; every slice has buffers.
        Assert.Equal(whole.MappedBytes + file.Tensor(TensorRole.TokenEmbedding).ByteCount, parts.MappedBytes);
        Assert.Equal((whole.WeightCopyBytes, whole.KvBytes, Context), (parts.WeightCopyBytes, parts.KvBytes, parts.KvTokens));
        Assert.InRange(parts.BufferBytes, whole.BufferBytes * 2, whole.BufferBytes * 4);
    }

    [Fact]
    public void The_text_must_have_every_part_in_units_for_people()
    {
        var memory = new SliceMemory(763_000_000, 0, 64 << 20, 2048, 12_688_000);
        Assert.Equal("727.7 MiB mapped + 0 bytes copied, KV 64.0 MiB (2,048 tokens), buffers 12.1 MiB", memory.ToString());
    }

    private static SliceMemory Memory(ModelFile file, int stages)
    {
        using var device = new ReferenceDevice();
        var options = new SliceOptions(Rows, 1, Rows, Context, KvPool.BlocksFor(Context), KvFormat.F16);
        using LocalPipeline pipeline = LocalPipeline.Load(file, _ => device, stages, options);
        return pipeline.Slices.Select(slice => slice.Memory).Aggregate((a, b) => a + b);
    }
}
