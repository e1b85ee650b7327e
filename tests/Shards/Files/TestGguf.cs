using System.Buffers.Binary;
using System.Text;

namespace Llama3Cluster.Shards.Tests.Files;

/// <summary>Writes GGUF files for tests, valid ones and, by changing what it holds, any other.</summary>
internal sealed class TestGguf
{
    public const int Hidden = 16, Intermediate = 24, Layers = 2, Heads = 4, KvHeads = 2, HeadDim = 4, Vocabulary = 32;

    public byte[] Magic { get; set; } = "GGUF"u8.ToArray();

    public uint Version { get; set; } = 3;

    public ulong? StatedTensors { get; set; }

    public ulong? StatedPairs { get; set; }

    public int Alignment { get; set; } = 32;

    public List<(string Key, uint Type, byte[] Value)> Pairs { get; } = [];

    public List<Tensor> Tensors { get; } = [];

    public sealed class Tensor(string name, uint type, byte[] data, params ulong[] dimensions)
    {
        public string Name { get; set; } = name;

        public uint Type { get; set; } = type;

        public byte[] Data { get; set; } = data;

        public ulong[] Dimensions { get; set; } = dimensions;

        public uint? StatedRank { get; set; }

        public ulong? StatedOffset { get; set; }
    }

    /// <summary>A small valid model with an untied head, F32 weights.</summary>
    public static TestGguf Model(int seed = 1)
    {
        var gguf = new TestGguf();
        gguf.Set("general.architecture", "llama").Set("general.name", "tiny test").Set("llama.context_length", 64u)
            .Set("llama.embedding_length", (uint)Hidden).Set("llama.block_count", (uint)Layers).Set("llama.feed_forward_length", (uint)Intermediate)
            .Set("llama.rope.dimension_count", (uint)HeadDim).Set("llama.rope.freq_base", 500000f)
            .Set("llama.attention.head_count", (uint)Heads).Set("llama.attention.head_count_kv", (uint)KvHeads)
            .Set("llama.attention.layer_norm_rms_epsilon", 1e-5f).Set("llama.vocab_size", (uint)Vocabulary)
            .Set("tokenizer.ggml.bos_token_id", 1u).Set("tokenizer.ggml.eos_token_id", 2u);
        var random = new Random(seed);
        gguf.AddFloats(random, "token_embd.weight", Hidden, Vocabulary);
        for (int i = 0; i < Layers; i++)
        {
            gguf.AddFloats(random, $"blk.{i}.attn_norm.weight", Hidden);
            gguf.AddFloats(random, $"blk.{i}.attn_q.weight", Hidden, Heads * HeadDim);
            gguf.AddFloats(random, $"blk.{i}.attn_k.weight", Hidden, KvHeads * HeadDim);
            gguf.AddFloats(random, $"blk.{i}.attn_v.weight", Hidden, KvHeads * HeadDim);
            gguf.AddFloats(random, $"blk.{i}.attn_output.weight", Heads * HeadDim, Hidden);
            gguf.AddFloats(random, $"blk.{i}.ffn_norm.weight", Hidden);
            gguf.AddFloats(random, $"blk.{i}.ffn_gate.weight", Hidden, Intermediate);
            gguf.AddFloats(random, $"blk.{i}.ffn_up.weight", Hidden, Intermediate);
            gguf.AddFloats(random, $"blk.{i}.ffn_down.weight", Intermediate, Hidden);
        }

        gguf.AddFloats(random, "output_norm.weight", Hidden);
        gguf.AddFloats(random, "output.weight", Hidden, Vocabulary);
        return gguf;
    }

    public Tensor this[string name] => Tensors.Single(t => t.Name == name);

    public TestGguf Set(string key, string value) => SetRaw(key, 8, Text(value));

    public TestGguf Set(string key, uint value) => SetRaw(key, 4, BitConverter.GetBytes(value));

    public TestGguf Set(string key, float value) => SetRaw(key, 6, BitConverter.GetBytes(value));

    public TestGguf Set(string key, params string[] values) =>
        SetRaw(key, 9, [.. Array(8, (ulong)values.Length), .. values.SelectMany(Text)]);

    public TestGguf SetRaw(string key, uint type, byte[] value)
    {
        Remove(key);
        Pairs.Add((key, type, value));
        return this;
    }

    public TestGguf Remove(string key)
    {
        Pairs.RemoveAll(pair => pair.Key == key);
        return this;
    }

    public void AddFloats(Random random, string name, params int[] dimensions)
    {
        var data = new byte[4 * dimensions.Aggregate(1, (a, b) => a * b)];
        for (int i = 0; i < data.Length; i += 4)
            BinaryPrimitives.WriteSingleLittleEndian(data.AsSpan(i), random.NextSingle() - 0.5f);
        Tensors.Add(new Tensor(name, 0, data, [.. dimensions.Select(d => (ulong)d)]));
    }

    /// <summary>The start of an array value: element type and count.</summary>
    public static byte[] Array(uint type, ulong count) => [.. BitConverter.GetBytes(type), .. BitConverter.GetBytes(count)];

    /// <summary>A length and the bytes of a string.</summary>
    public static byte[] Text(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        return [.. BitConverter.GetBytes((ulong)bytes.Length), .. bytes];
    }

    public byte[] Build()
    {
        var stream = new MemoryStream();
        var writer = new BinaryWriter(stream);
        writer.Write(Magic);
        writer.Write(Version);
        writer.Write(StatedTensors ?? (ulong)Tensors.Count);
        writer.Write(StatedPairs ?? (ulong)Pairs.Count);
        foreach ((string key, uint type, byte[] value) in Pairs)
        {
            writer.Write(Text(key));
            writer.Write(type);
            writer.Write(value);
        }

        ulong offset = 0;
        foreach (Tensor tensor in Tensors)
        {
            writer.Write(Text(tensor.Name));
            writer.Write(tensor.StatedRank ?? (uint)tensor.Dimensions.Length);
            foreach (ulong dimension in tensor.Dimensions)
                writer.Write(dimension);
            writer.Write(tensor.Type);
            writer.Write(tensor.StatedOffset ?? offset);
            offset += (ulong)Padded(tensor.Data.Length);
        }

        writer.Write(new byte[Padded(stream.Position) - stream.Position]);
        foreach (Tensor tensor in Tensors)
        {
            writer.Write(tensor.Data);
            writer.Write(new byte[Padded(tensor.Data.Length) - tensor.Data.Length]);
        }

        return stream.ToArray();
    }

    private long Padded(long length) => (length + Alignment - 1) / Alignment * Alignment;
}
