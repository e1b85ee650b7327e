using Llama3Cluster.Gateway.Tokenizers.Bpe;

namespace Llama3Cluster.Gateway.Tokenizers.Files;

/// <summary>What a tokenizer.json does before and after its model.</summary>
/// <param name="ByteLevel">Byte-level BPE with Llama 3's split; else SentencePiece's form.</param>
/// <param name="Prefix">When SentencePiece's form puts a space before a text.</param>
/// <param name="PrefixFirstOnly">Whether only the first of several pieces of a text gets it.</param>
/// <param name="StripsLeadingSpace">Whether decoding takes it away.</param>
internal sealed record TokenizerJsonPipeline(bool ByteLevel, DummyPrefix Prefix, bool PrefixFirstOnly, bool StripsLeadingSpace)
{
    private const string Space = "\u2581";

    public static TokenizerJsonPipeline Read(JsonValue root)
    {
        JsonValue normalizer = root["normalizer"];
        JsonValue preTokenizer = root["pre_tokenizer"];
        JsonValue decoder = root["decoder"];
        if (decoder.IsNull)
            throw decoder.Unsupported("ByteLevel or SentencePiece's Sequence");

        if (decoder["type"].AsString() == "ByteLevel")
        {
            if (!normalizer.IsNull)
                throw normalizer.Unsupported("none beside a byte-level decoder");
            RequireLlama3Split(preTokenizer);
            return new TokenizerJsonPipeline(true, DummyPrefix.Never, PrefixFirstOnly: false, StripsLeadingSpace: false);
        }

        (DummyPrefix prefix, bool firstOnly) = preTokenizer.IsNull
            ? (ReadNormalizer(normalizer), false)
            : ReadMetaspace(normalizer, preTokenizer);
        return new TokenizerJsonPipeline(ByteLevel: false, prefix, firstOnly, ReadDecoder(decoder));
    }

    /// <summary>A split by Llama 3's pattern, then the byte-level alphabet.</summary>
    private static void RequireLlama3Split(JsonValue preTokenizer)
    {
        const string Supported = "a Sequence of a Split by Llama 3's pattern and ByteLevel";
        if (preTokenizer.IsNull || preTokenizer["type"].AsString() != "Sequence")
            throw preTokenizer.Unsupported(Supported);

        List<JsonValue> parts = [.. preTokenizer["pretokenizers"].Items()];
        if (parts.Count != 2 || parts[0]["type"].AsString() != "Split" || parts[1]["type"].AsString() != "ByteLevel")
            throw preTokenizer.Unsupported(Supported);

        JsonValue pattern = parts[0]["pattern"]["Regex"];
        if (pattern.AsString() != Llama3PreTokenizer.Pattern)
            throw pattern.Unsupported("Llama 3's pattern, " + Llama3PreTokenizer.Pattern);
        if (parts[0]["behavior"].AsString() != "Isolated")
            throw parts[0]["behavior"].Unsupported("Isolated");
        RequireFalse(parts[0]["invert"], absent: false);
        RequireFalse(parts[1]["add_prefix_space"], absent: true);
        RequireFalse(parts[1]["use_regex"], absent: true);
    }

    /// <summary>The older form: Prepend and Replace.</summary>
    private static DummyPrefix ReadNormalizer(JsonValue normalizer)
    {
        const string Supported = "a Sequence of Prepend '\u2581' and Replace ' ' by '\u2581'";
        if (normalizer.IsNull)
            throw normalizer.Unsupported(Supported);

        bool sequence = normalizer["type"].AsString() == "Sequence";
        List<JsonValue> steps = sequence ? [.. normalizer["normalizers"].Items()] : [normalizer];
        bool prepends = steps.Count == 2 && steps[0]["type"].AsString() == "Prepend" && steps[0]["prepend"].AsString() == Space;
        if (steps.Count != (prepends ? 2 : 1) || !Replaces(steps[^1], " ", Space))
            throw normalizer.Unsupported(Supported);
        return prepends ? DummyPrefix.Always : DummyPrefix.Never;
    }

    /// <summary>The newer form: Metaspace that does not split.</summary>
    private static (DummyPrefix Prefix, bool FirstOnly) ReadMetaspace(JsonValue normalizer, JsonValue preTokenizer)
    {
        if (!normalizer.IsNull)
            throw normalizer.Unsupported("none beside a pre_tokenizer");
        if (preTokenizer["type"].AsString() != "Metaspace")
            throw preTokenizer.Unsupported("Metaspace");
        if (preTokenizer["replacement"].AsString() != Space)
            throw preTokenizer["replacement"].Unsupported($"'{Space}'");
        RequireFalse(preTokenizer["split"], absent: true);

        JsonValue scheme = preTokenizer["prepend_scheme"];
        return (scheme.IsNull ? "always" : scheme.AsString()) switch
        {
            "always" => (DummyPrefix.IfAbsent, false),
            "first" => (DummyPrefix.IfAbsent, true),
            "never" => (DummyPrefix.Never, false),
            _ => throw scheme.Unsupported("always, first or never"),
        };
    }

    /// <summary>Replace, ByteFallback, Fuse and, where a leading space is taken away, Strip.</summary>
    private static bool ReadDecoder(JsonValue decoder)
    {
        const string Supported =
            "ByteLevel, or a Sequence of Replace '\u2581' by ' ', ByteFallback, Fuse and Strip of one leading ' '";
        if (decoder["type"].AsString() != "Sequence")
            throw decoder.Unsupported(Supported);

        List<JsonValue> steps = [.. decoder["decoders"].Items()];
        if (steps.Count is not (3 or 4) || !Replaces(steps[0], Space, " ")
            || steps[1]["type"].AsString() != "ByteFallback" || steps[2]["type"].AsString() != "Fuse")
        {
            throw decoder.Unsupported(Supported);
        }

        if (steps.Count == 3)
            return false;

        JsonValue strip = steps[3];
        if (strip["type"].AsString() != "Strip" || strip["content"].AsString() != " "
            || strip["start"].AsInt32() != 1 || strip["stop"].AsInt32() != 0)
        {
            throw strip.Unsupported("Strip of one leading ' '");
        }

        return true;
    }

    private static bool Replaces(JsonValue step, string pattern, string content) =>
        step["type"].AsString() == "Replace"
        && step["pattern"]["String"] is { IsString: true } text && text.AsString() == pattern
        && step["content"].AsString() == content;

    private static void RequireFalse(JsonValue flag, bool absent)
    {
        if (flag.AsBoolean(absent))
            throw flag.Unsupported("false");
    }
}
