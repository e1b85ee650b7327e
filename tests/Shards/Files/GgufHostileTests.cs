using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Shards.Tests.Files;

/// <summary>Damaged and hostile GGUF files: each is refused with its reason, before anything is allocated by its numbers.</summary>
public sealed class GgufHostileTests : IDisposable
{
    private static readonly Dictionary<string, (string MessagePart, Action<TestGguf> Damage)> Cases = new()
    {
        ["another magic"] = ("not a GGUF file", g => g.Magic = "GGML"u8.ToArray()),
        ["version 1"] = ("GGUF version 1", g => g.Version = 1),
        ["version 4"] = ("GGUF version 4", g => g.Version = 4),
        ["big-endian"] = ("big-endian", g => g.Version = 0x03000000),
        ["more tensors than bytes"] = ("tensors of at least", g => g.StatedTensors = 1UL << 40),
        ["a negative number of tensors"] = ("tensors of at least", g => g.StatedTensors = ulong.MaxValue),
        ["more pairs than bytes"] = ("metadata pairs of at least", g => g.StatedPairs = 1UL << 60),
        ["one tensor too many"] = ("tensor", g => g.StatedTensors = (ulong)g.Tensors.Count + 1),
        ["one pair too many"] = ("is damaged", g => g.StatedPairs = (ulong)g.Pairs.Count + 1),
        ["a string longer than the file (CVE-2025-66960)"] = ("takes 1000000 bytes", g => g.SetRaw("x.text", 8, [.. BitConverter.GetBytes(1_000_000UL), 1])),
        ["a string of 2^64 - 1 bytes"] = ("18446744073709551615 bytes", g => g.SetRaw("x.text", 8, [.. BitConverter.GetBytes(ulong.MaxValue), 1])),
        ["an array longer than the file"] = ("1099511627776 elements", g => g.SetRaw("x.list", 9, TestGguf.Array(4, 1UL << 40))),
        ["an array whose size overflows (CVE-2025-53630)"] = ("elements", g => g.SetRaw("x.list", 9, TestGguf.Array(12, (1UL << 61) + 1))),
        ["an array of strings longer than the file"] = ("elements", g => g.SetRaw("x.list", 9, TestGguf.Array(8, 1_000_000))),
        ["an array of arrays longer than the file"] = ("elements", g => g.SetRaw("x.list", 9, TestGguf.Array(9, 1_000_000))),
        ["arrays nested too deep"] = ("nests arrays", g => g.SetRaw("x.list", 9, [.. Enumerable.Repeat(TestGguf.Array(9, 1), 5000).SelectMany(a => a)])),
        ["an unknown value type"] = ("type 13", g => g.SetRaw("x", 13, [1, 2, 3, 4])),
        ["a negative value type"] = ("type 4294967295", g => g.SetRaw("x", uint.MaxValue, [1, 2, 3, 4])),
        ["an unknown element type"] = ("elements of type 99", g => g.SetRaw("x", 9, TestGguf.Array(99, 1))),
        ["a boolean of 2"] = ("boolean of 2", g => g.SetRaw("x", 7, [2])),
        ["a duplicate key"] = ("llama.block_count appears twice", g => g.Pairs.Add(("llama.block_count", 4, BitConverter.GetBytes(1)))),
        ["an empty key"] = ("metadata key has 0 bytes", g => g.Set("", 1u)),
        ["a key too long"] = ("metadata key has 70000 bytes", g => g.Set(new string('k', 70000), 1u)),
        ["an alignment of zero"] = ("general.alignment is 0", g => g.Set("general.alignment", 0u)),
        ["an alignment of 48"] = ("general.alignment is 48", g => g.Set("general.alignment", 48u)),
        ["an alignment of 2^31"] = ("general.alignment is 2147483648", g => g.Set("general.alignment", 1u << 31)),
        ["a negative alignment"] = ("general.alignment is -32", g => g.SetRaw("general.alignment", 5, BitConverter.GetBytes(-32))),
        ["an alignment that is text"] = ("general.alignment is String", g => g.Set("general.alignment", "32")),
        ["a duplicate tensor"] = ("token_embd.weight appears twice", g => g.Tensors.Add(new("token_embd.weight", 0, new byte[64], 16))),
        ["a tensor name too long"] = ("tensor name has 300 bytes", g => g.Tensors.Add(new(new string('t', 300), 0, new byte[64], 16))),
        ["no dimensions"] = ("0 dimensions", g => g["output_norm.weight"].Dimensions = []),
        ["five dimensions"] = ("5 dimensions", g => g["output_norm.weight"].Dimensions = [16, 1, 1, 1, 1]),
        ["2^32 - 1 dimensions"] = ("4294967295 dimensions", g => g["output_norm.weight"].StatedRank = uint.MaxValue),
        ["a dimension of zero"] = ("dimension of 0", g => g["output_norm.weight"].Dimensions = [16, 0]),
        ["a negative dimension"] = ("dimension of 18446744073709551615", g => g["output_norm.weight"].Dimensions = [ulong.MaxValue]),
        ["a size that overflows 64 bits (CVE-2026-27940)"] = ("ends past the file", g => g["output_norm.weight"].Dimensions = [1 << 30, 1 << 30, 1 << 30, 16]),
        ["a size that wraps to zero"] = ("ends past the file", g => g["output_norm.weight"].Dimensions = [1 << 16, 1 << 16, 1 << 16, 1 << 16]),
        ["a tensor past the end of the file (CVE-2026-7482)"] = ("ends past the file", g => g["output.weight"].StatedOffset = 1 << 20),
        ["an offset that overflows"] = ("ends past the file", g => g["output.weight"].StatedOffset = ulong.MaxValue - 31),
        ["the last tensor cut off"] = ("ends past the file", g => g["output.weight"].Data = new byte[64]),
        ["an unaligned tensor"] = ("not a multiple of the alignment 32", g => g["output.weight"].StatedOffset = 4),
        ["overlapping tensors"] = ("overlaps tensor", g => g["output.weight"].StatedOffset = 32),
        ["two tensors at one place"] = ("overlaps tensor", g => g["blk.1.ffn_norm.weight"].StatedOffset = 0),
        ["an unsupported tensor type"] = ("type IQ4_XS", g => g["output.weight"].Type = 23),
        ["an unknown tensor type"] = ("type number 4", g => g["output.weight"].Type = 4),
        ["a negative tensor type"] = ("type number 4294967295", g => g["output.weight"].Type = uint.MaxValue),
        ["rows that are not whole blocks"] = ("Q8_0 blocks of 32", g => g["output.weight"].Type = 8),
        ["a quantized norm"] = ("is quantized (Q8_0)", g => Widen(g)),
        ["another architecture"] = ("general.architecture is \"qwen2\"", g => g.Set("general.architecture", "qwen2")),
        ["no architecture"] = ("general.architecture is \"\"", g => g.Remove("general.architecture")),
        ["one part of several"] = ("one of 3 parts", g => g.SetRaw("split.count", 2, [3, 0])),
        ["experts"] = ("mixtures of experts", g => g.Set("llama.expert_count", 8u)),
        ["linear RoPE scaling"] = ("RoPE scaling \"linear\" with factor 4", g => g.Set("llama.rope.scaling.type", "linear").Set("llama.rope.scaling.factor", 4f)),
        ["yarn RoPE scaling"] = ("RoPE scaling \"yarn\"", g => g.Set("llama.rope.scaling.type", "yarn")),
        ["no block count"] = ("lacks the metadata llama.block_count", g => g.Remove("llama.block_count")),
        ["heads as a list"] = ("llama.attention.head_count is 2 x UInt32", g => g.SetRaw("llama.attention.head_count", 9, [.. TestGguf.Array(4, 2), .. new byte[8]])),
        ["no layers"] = ("number of layers is 0", g => g.Set("llama.block_count", 0u)),
        ["2^31 layers"] = ("llama.block_count is 2147483648", g => g.Set("llama.block_count", 1u << 31)),
        ["more layers than tensors"] = ("blk.2.attn_norm.weight", g => g.Set("llama.block_count", 1024u)),
        ["heads that do not divide"] = ("does not divide into 3 heads", g => g.Set("llama.attention.head_count", 3u)),
        ["no heads"] = ("does not divide into 0 heads", g => g.Set("llama.attention.head_count", 0u)),
        ["no key/value heads"] = ("number of key/value heads is 0", g => g.Set("llama.attention.head_count_kv", 0u)),
        ["key/value heads that do not divide"] = ("cannot share 3 key/value heads", g => g.Set("llama.attention.head_count_kv", 3u)),
        ["an odd head dimension"] = ("must be even", g => g.Set("llama.attention.key_length", 5u).Remove("llama.rope.dimension_count")),
        ["partial rotation"] = ("2 rotated", g => g.Set("llama.rope.dimension_count", 2u)),
        ["an epsilon that is not a number"] = ("epsilon is NaN", g => g.Set("llama.attention.layer_norm_rms_epsilon", float.NaN)),
        ["a negative base frequency"] = ("frequencies is -1", g => g.Set("llama.rope.freq_base", -1f)),
        ["an end token outside the vocabulary"] = ("special token 32", g => g.Set("tokenizer.ggml.eos_token_id", 32u)),
        ["a vocabulary of another size"] = ("[33, 16]", g => g.Set("llama.vocab_size", 33u)),
        ["more tokens than embeddings"] = ("has 40 tokens", g => g.Set("tokenizer.ggml.tokens", [.. Enumerable.Range(0, 40).Select(i => $"{i}")])),
        ["a missing tensor"] = ("lacks 1 of the 21 tensors that its configuration asks for: blk.1.ffn_down.weight", g => g.Tensors.Remove(g["blk.1.ffn_down.weight"])),
        ["a tensor of another shape"] = ("blk.0.attn_q.weight is [8, 32]", g => g["blk.0.attn_q.weight"].Dimensions = [32, 8]),
        ["a matrix for a norm"] = ("output_norm.weight is [4, 4]", g => g["output_norm.weight"].Dimensions = [4, 4]),
        ["a bias that would be left out"] = ("blk.0.attn_q.bias", g => g.Tensors.Add(new("blk.0.attn_q.bias", 0, new byte[64], 16))),
        ["rope_freqs of another size"] = ("rope_freqs.weight is [3]", g => g.Tensors.Add(new("rope_freqs.weight", 0, new byte[12], 3))),
        ["rope_freqs of zero"] = ("element 0 of tensor rope_freqs.weight is 0", g => g.Tensors.Add(new("rope_freqs.weight", 0, new byte[8], 2))),
    };

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> CaseNames => [.. Cases.Keys];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(CaseNames))]
    public void A_damaged_file_must_be_refused_with_its_reason(string damage)
    {
        TestGguf gguf = TestGguf.Model();
        Cases[damage].Damage(gguf);
        ModelFileAssert.Refused(_folder.Write("model.gguf", gguf.Build()), Cases[damage].MessagePart);
    }

    [Fact]
    public void A_key_that_is_not_utf8_must_be_refused()
    {
        byte[] bytes = TestGguf.Model().Build();
        int key = bytes.AsSpan().IndexOf("llama.block_count"u8);
        bytes[key] = 0xFF;
        ModelFileAssert.Refused(_folder.Write("model.gguf", bytes), "is not UTF-8");
    }

    [Fact]
    public void A_file_cut_anywhere_must_be_refused()
    {
        byte[] bytes = TestGguf.Model().Build();
        for (int length = 1; length < bytes.Length; length += 97)
            ModelFileAssert.Refused(_folder.Write("model.gguf", bytes[..length]), "");
    }

    // Norms of 32 elements, so that a Q8_0 norm is a whole block and only its being quantized is wrong.
    private static void Widen(TestGguf gguf)
    {
        gguf.Set("llama.embedding_length", 32u).Set("llama.attention.head_count", 8u).Set("llama.attention.head_count_kv", 8u);
        foreach (TestGguf.Tensor tensor in gguf.Tensors)
        {
            tensor.Dimensions = [.. tensor.Dimensions.Select((d, i) => d == TestGguf.Intermediate ? d : i == 1 && tensor.Name.StartsWith("token", StringComparison.Ordinal) ? d : 32)];
            tensor.Data = new byte[4 * tensor.Dimensions.Aggregate(1UL, (a, b) => a * b)];
        }

        TestGguf.Tensor norm = gguf["blk.0.attn_norm.weight"];
        (norm.Type, norm.Data) = (8, new byte[WeightFormat.Q8_0.RowBytes(32)]);
    }
}
