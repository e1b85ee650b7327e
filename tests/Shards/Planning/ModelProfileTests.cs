using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Planning;
using Llama3Cluster.Shards.Tests.Files;

namespace Llama3Cluster.Shards.Tests.Planning;

public class ModelProfileTests
{
    [Fact]
    public void The_profile_of_the_demo_model_must_add_up_from_its_shape()
    {
        using var file = ModelFile.Open(SharedModels.Demo);
        var profile = ModelProfile.From(file, KvFormat.F16);

        // bf16: hidden 128, intermediate 352, 4 query and 2 KV heads of 32, 2048 tokens, 8 layers, tied head.
        const long Hidden = 128, Layer = 2 * ((2 * Hidden) + (2 * Hidden * Hidden) + (2 * Hidden * 64) + (3 * Hidden * 352));
        const long Embedding = 2 * 2048 * Hidden;
        Assert.Equal(Enumerable.Repeat(Layer, 8), profile.LayerBytes);
        Assert.Equal((Embedding, Embedding + (2 * Hidden), true), (profile.EmbeddingBytes, profile.HeadBytes, profile.TiedHead));
        Assert.Equal(2 * 2 * 32 * 2, profile.KvBytesPerTokenPerLayer);
        Assert.Equal(4 * Hidden, profile.ActivationBytesPerToken);
        Assert.Equal(512, profile.ContextLength);
    }

    [Fact]
    public void The_profile_must_follow_the_formats_of_cache_and_activations()
    {
        using var file = ModelFile.Open(SharedModels.Demo);
        var profile = ModelProfile.From(file, KvFormat.F32, ActivationFormat.BF16);
        Assert.Equal((512, 256), (profile.KvBytesPerTokenPerLayer, profile.ActivationBytesPerToken));

        // Two heads of 32 bytes and a scale, keys and values.
        Assert.Equal(2 * 2 * (32 + 2), ModelProfile.From(file, KvFormat.Q8_0).KvBytesPerTokenPerLayer);
    }
}
