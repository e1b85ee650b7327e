using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Shards.Tests.Files;

/// <summary>
/// Random damage: only <see cref="ModelFileException"/> may escape, what is allocated stays small, and a file that opens has every
/// tensor inside its mapping. A failure's seed is in the message.
/// </summary>
public sealed class ModelFileFuzzTests : IDisposable
{
    private const int Rounds = 3000;

    private static readonly ulong[] Interesting =
    [
        0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1UL << 32, 1UL << 40, 1UL << 61, long.MaxValue, 1UL << 63, ulong.MaxValue,
    ];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_mutated_gguf_file_must_open_or_be_refused()
    {
        TestGguf gguf = TestGguf.Model().Set("tokenizer.ggml.tokens", "a", "b", "c");
        gguf.Tensors.Add(new TestGguf.Tensor("rope_freqs.weight", 0, [.. BitConverter.GetBytes(1f), .. BitConverter.GetBytes(8f)], 2));
        byte[] valid = gguf.Build();
        int header = valid.Length - gguf.Tensors.Sum(t => t.Data.Length);
        Fuzz(valid, header, bytes => _folder.Write("model.gguf", bytes), _folder.At("model.gguf"));
    }

    [Fact]
    public void A_mutated_safetensors_file_must_open_or_be_refused()
    {
        TestSafetensors file = TestSafetensors.Model();
        file.WriteTo(_folder);
        byte[] valid = file.Build();
        Fuzz(valid, valid.Length - file.Data.Count, bytes => _folder.Write("model.safetensors", bytes), _folder.Path);
    }

    [Fact]
    public void A_mutated_configuration_must_open_or_be_refused()
    {
        TestSafetensors.Model().WriteTo(_folder);
        byte[] valid = File.ReadAllBytes(_folder.At("config.json"));
        Fuzz(valid, valid.Length, bytes => _folder.Write("config.json", bytes), _folder.Path);
    }

    [Fact]
    public void A_mutated_index_must_open_or_be_refused()
    {
        (TestSafetensors whole, byte[] first, byte[] second, System.Text.Json.Nodes.JsonObject map) = SafetensorsModelTests.Sharded();
        _folder.Write("config.json", whole.Config.ToJsonString());
        _folder.Write("model-00001-of-00002.safetensors", first);
        _folder.Write("model-00002-of-00002.safetensors", second);
        byte[] valid = System.Text.Encoding.UTF8.GetBytes(new System.Text.Json.Nodes.JsonObject { ["weight_map"] = map }.ToJsonString());
        Fuzz(valid, valid.Length, bytes => _folder.Write("model.safetensors.index.json", bytes), _folder.Path);
    }

    private static void Fuzz(byte[] valid, int header, Action<byte[]> write, string path)
    {
        write(valid);
        Use(path);
        int refused = 0;
        for (int seed = 0; seed < Rounds; seed++)
        {
            write(Mutate(valid, header, new Random(seed)));
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                Use(path);
            }
            catch (ModelFileException)
            {
                refused++;
            }
            catch (Exception e)
            {
                Assert.Fail($"seed {seed}: {e}");
            }

            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(allocated < ModelFileAssert.AllocationLimit, $"seed {seed} made opening allocate {allocated} bytes");
        }

        // Most damage to a header must be noticed; if it were not, the mutations would not reach what they are meant to test.
        Assert.InRange(refused, Rounds / 4, Rounds);
    }

    private static void Use(string path)
    {
        using ModelFile model = ModelFile.Open(path);
        for (int layer = 0; layer < model.Config.LayerCount; layer++)
        {
            foreach (TensorRole role in Enum.GetValues<TensorRole>())
            {
                TensorData data = model.Tensor(role, layer);
                _ = data.Row(0)[0] + data.Row(data.Rows - 1)[^1];
            }
        }

        Assert.Equal(64, model.Fingerprint.Length);
        Assert.All(model.RopeFrequencies, frequency => Assert.InRange(frequency, 0, 1e39));
    }

    private static byte[] Mutate(byte[] valid, int header, Random random)
    {
        List<byte> bytes = [.. valid];
        for (int i = random.Next(1, 4); i > 0; i--)
        {
            int at = random.Next(Math.Min(header, bytes.Count));
            int length = Math.Min(random.Next(1, 40), bytes.Count - at);
            switch (random.Next(7))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 2:
                    byte[] number = BitConverter.GetBytes(Interesting[random.Next(Interesting.Length)]);
                    for (int b = 0; b < Math.Min(length, 8); b++)
                        bytes[at + b] = number[b];
                    break;
                case 3:
                    bytes.RemoveRange(at, length);
                    break;
                case 4:
                    bytes.InsertRange(at, bytes.GetRange(at, length));
                    break;
                case 5:
                    bytes.InsertRange(random.Next(bytes.Count), bytes.GetRange(at, length));
                    break;
                default:
                    if (random.Next(4) == 0)
                        bytes.RemoveRange(at, bytes.Count - at);
                    else
                        bytes[at] = (byte)"0123456789-.eE\"\\{}[],:"[random.Next(22)];
                    break;
            }

            if (bytes.Count == 0)
                return [];
        }

        return [.. bytes];
    }
}
