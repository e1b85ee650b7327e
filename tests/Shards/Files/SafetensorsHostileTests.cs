using System.Text.Json.Nodes;

namespace Llama3Cluster.Shards.Tests.Files;

/// <summary>Damaged and hostile safetensors files and indexes: each is refused with its reason.</summary>
public sealed class SafetensorsHostileTests : IDisposable
{
    private const string Norm = "model.norm.weight";

    private static readonly Dictionary<string, (string MessagePart, Func<TestSafetensors, byte[]> Damage)> Cases = new()
    {
        ["an empty file"] = ("is empty", _ => []),
        ["seven bytes"] = ("it has 7 bytes", _ => new byte[7]),
        ["a header of 2^63 bytes"] = ("9223372036854775808 bytes", f => f.Build("{}", 1UL << 63)),
        ["a header of 2^64 - 1 bytes"] = ("18446744073709551615 bytes", f => f.Build("{}", ulong.MaxValue)),
        ["a header over 100 MiB"] = ("104857601 bytes", f => f.Build("{}", (100 << 20) + 1)),
        ["a header longer than the file"] = ("is cut off", f => f.Build("{}", 100_000)),
        ["a GGUF file of this name"] = ("not a safetensors file", _ => TestGguf.Model().Build()),
        ["no header"] = ("does not start with a brace", f => f.Build("")),
        ["a header that is an array"] = ("does not start with a brace", f => f.Build("[]")),
        ["blanks before the header"] = ("does not start with a brace", f => f.Build(" {}")),
        ["a header that is not JSON"] = ("not valid JSON", f => f.Build("{\"a\":")),
        ["a header nested too deep"] = ("not valid JSON", f => f.Build("{\"a\":" + new string('[', 100_000))),
        ["text after the header"] = ("not valid JSON", f => f.Build(f.Header.ToJsonString() + "PK")),
        ["a tensor twice"] = ("not valid JSON", f => f.Build(Twice(f, "\"" + Norm + "\""))),
        ["a tensor twice, once escaped"] = ("not valid JSON", f => f.Build(Twice(f, "\"\\u006dodel.norm.weight\""))),
        ["a member twice"] = ("not valid JSON", f => f.Build("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[0,4]}}")),
        ["a name that is half a surrogate"] = ("not valid JSON", f => f.Build("{\"\\ud800\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}")),
        ["an empty name"] = ("name has 0 characters", With("", "{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}")),
        ["a tensor that is a number"] = ("has no dtype", With("x", "1")),
        ["metadata that is not text"] = ("__metadata__ is", With("__metadata__", "{\"a\":1}")),
        ["no dtype"] = ("has no dtype", With(Norm, "{\"shape\":[16],\"data_offsets\":[0,64]}")),
        ["a dtype that is a number"] = ("dtype of tensor model.norm.weight is 1", With(Norm, "{\"dtype\":1,\"shape\":[16],\"data_offsets\":[0,64]}")),
        ["a dtype that is half a surrogate"] = ("not valid Unicode", f => f.Build("{\"a\":{\"dtype\":\"\\ud800\",\"shape\":[16],\"data_offsets\":[0,64]}}")),
        ["an unknown dtype"] = ("type F7", With(Norm, "{\"dtype\":\"F7\",\"shape\":[16],\"data_offsets\":[0,64]}")),
        ["a dtype that no device knows"] = ("type F64", With(Norm, "{\"dtype\":\"F64\",\"shape\":[16],\"data_offsets\":[0,128]}", tail: true)),
        ["no shape"] = ("has no shape", With(Norm, "{\"dtype\":\"F32\",\"data_offsets\":[0,64]}")),
        ["nine dimensions"] = ("not an array of at most 8", With(Norm, "{\"dtype\":\"F32\",\"shape\":[16,1,1,1,1,1,1,1,1],\"data_offsets\":[0,64]}")),
        ["a negative dimension"] = ("has -16", With(Norm, "{\"dtype\":\"F32\",\"shape\":[-16],\"data_offsets\":[0,64]}")),
        ["a broken dimension"] = ("has 16.5", With(Norm, "{\"dtype\":\"F32\",\"shape\":[16.5],\"data_offsets\":[0,64]}")),
        ["a dimension of 2^64"] = ("has 18446744073709551616", With(Norm, "{\"dtype\":\"F32\",\"shape\":[18446744073709551616],\"data_offsets\":[0,64]}")),
        ["a size that wraps to the right one"] = ("but has 64 bytes", With(Norm, "{\"dtype\":\"F32\",\"shape\":[4611686018427387920],\"data_offsets\":[0,64]}")),
        ["no offsets"] = ("has no data_offsets", With(Norm, "{\"dtype\":\"F32\",\"shape\":[16]}")),
        ["one offset"] = ("data_offsets [64]", With(Norm, "{\"dtype\":\"F32\",\"shape\":[16],\"data_offsets\":[64]}")),
        ["an end before the begin"] = ("data_offsets [64, 0]", With(Norm, "{\"dtype\":\"F32\",\"shape\":[16],\"data_offsets\":[64,0]}")),
        ["a negative offset"] = ("has -64", With(Norm, "{\"dtype\":\"F32\",\"shape\":[16],\"data_offsets\":[-64,0]}")),
        ["a tensor past the end of the file"] = ("ends at 1000064", With(Norm, "{\"dtype\":\"F32\",\"shape\":[16],\"data_offsets\":[1000000,1000064]}")),
        ["a tensor at 2^63 - 1"] = ("ends at 9223372036854775807", With(Norm, "{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[9223372036854775807,9223372036854775807]}")),
        ["a size that is not the shape's"] = ("but has 60 bytes", With(Norm, "{\"dtype\":\"F32\",\"shape\":[16],\"data_offsets\":[0,60]}")),
        ["overlapping tensors"] = ("overlaps tensor", With(Norm, "{\"dtype\":\"F32\",\"shape\":[16],\"data_offsets\":[32,96]}")),
        ["an archive appended"] = ("4 bytes after its last tensor", f => [.. f.Build(), .. "PK\u0005\u0006"u8]),
        ["cut off by one byte"] = ("is damaged", f => f.Build()[..^1]),
        ["a missing tensor"] = ("lacks 1 of the 21 tensors that its configuration asks for: model.norm.weight", Without(Norm)),
        ["a missing head that is not tied"] = ("lm_head.weight", WithoutHead()),
        ["a tensor of another shape"] = ("model.norm.weight is [4, 4]", With(Norm, null, shape: "[4,4]")),
        ["a tensor that would be left out"] = ("model.layers.0.self_attn.q_norm.weight", f => f.AddFloats(new Random(1), "model.layers.0.self_attn.q_norm.weight", 4).Build()),
    };

    private static readonly Dictionary<string, (string MessagePart, Action<JsonObject> Damage)> IndexCases = new()
    {
        ["no map"] = ("no weight_map", index => index.Remove("weight_map")),
        ["a map that is a list"] = ("no weight_map", index => index["weight_map"] = new JsonArray()),
        ["an empty map"] = ("names 0 files", index => index["weight_map"] = new JsonObject()),
        ["a file that is a number"] = ("is 1, not a string", index => index["weight_map"]![Norm] = 1),
        ["a path upwards"] = ("plain name", index => index["weight_map"]![Norm] = "../model-00001-of-00002.safetensors"),
        ["an absolute path"] = ("plain name", index => index["weight_map"]![Norm] = "/etc/model.safetensors"),
        ["a path downwards"] = ("plain name", index => index["weight_map"]![Norm] = "x/model.safetensors"),
        ["a path with backslashes"] = ("plain name", index => index["weight_map"]![Norm] = "..\\model.safetensors"),
        ["a name with a zero byte"] = ("plain name", index => index["weight_map"]![Norm] = "model\0.safetensors"),
        ["another kind of file"] = ("plain name", index => index["weight_map"]![Norm] = "passwd"),
        ["a shard that is not there"] = ("is not in the folder", index => index["weight_map"]![Norm] = "model-00003-of-00002.safetensors"),
        ["a tensor in the wrong shard"] = ("does not have it", index => index["weight_map"]![Norm] =
            (string)index["weight_map"]![Norm]! == "model-00001-of-00002.safetensors" ? "model-00002-of-00002.safetensors" : "model-00001-of-00002.safetensors"),
        ["a tensor left out"] = ("lacks 1 of", index => index["weight_map"]!.AsObject().Remove(Norm)),
    };

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> CaseNames => [.. Cases.Keys];

    public static TheoryData<string> IndexCaseNames => [.. IndexCases.Keys];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(CaseNames))]
    public void A_damaged_file_must_be_refused_with_its_reason(string damage)
    {
        TestSafetensors file = TestSafetensors.Model();
        _folder.Write("config.json", file.Config.ToJsonString());
        _folder.Write("model.safetensors", Cases[damage].Damage(file));
        ModelFileAssert.Refused(_folder.Path, Cases[damage].MessagePart);
    }

    [Theory]
    [MemberData(nameof(IndexCaseNames))]
    public void A_damaged_index_must_be_refused_with_its_reason(string damage)
    {
        (TestSafetensors whole, byte[] first, byte[] second, JsonObject map) = SafetensorsModelTests.Sharded();
        _folder.Write("config.json", whole.Config.ToJsonString());
        _folder.Write("model-00001-of-00002.safetensors", first);
        _folder.Write("model-00002-of-00002.safetensors", second);
        var index = new JsonObject { ["weight_map"] = map };
        IndexCases[damage].Damage(index);
        _folder.Write("model.safetensors.index.json", index.ToJsonString());
        ModelFileAssert.Refused(_folder.Path, IndexCases[damage].MessagePart);
    }

    private static string Twice(TestSafetensors file, string quotedName)
    {
        string header = file.Header.ToJsonString();
        return $"{header[..^1]},{quotedName}:{file.Header[Norm]!.ToJsonString()}}}";
    }

    // Replaces the directory entry of a tensor; the tensor's own bytes stay, or move behind everything where the entry asks for more.
    private static Func<TestSafetensors, byte[]> With(string name, string? entry, bool tail = false, string? shape = null) => file =>
    {
        if (shape is not null)
            file.Header[name]!["shape"] = JsonNode.Parse(shape);
        if (entry is not null)
            file.Header[name] = JsonNode.Parse(entry);
        if (tail)
        {
            file.Header[name]!["data_offsets"] = new JsonArray(file.Data.Count, file.Data.Count + 128);
            file.Data.AddRange(new byte[128]);
        }

        return file.Build();
    };

    private static Func<TestSafetensors, byte[]> Without(string name) => file =>
    {
        file.Header.Remove(name);
        return file.Build();
    };

    private static Func<TestSafetensors, byte[]> WithoutHead() => file =>
    {
        file.Header.Remove("lm_head.weight");
        file.Data.RemoveRange(file.Data.Count - 2048, 2048);
        return file.Build();
    };
}
