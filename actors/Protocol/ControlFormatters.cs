using Akka.Actor;
using Akka.Serialization;
using Llama3Cluster.Shards.Sampling;
using Llama3Cluster.Shards.Slices;
using MessagePack;
using MessagePack.Formatters;

namespace Llama3Cluster.Actors.Protocol;

/// <summary>An actor reference, as its path with address.</summary>
internal sealed class ActorRefFormatter(ExtendedActorSystem system) : IMessagePackFormatter<IActorRef?>
{
    public void Serialize(ref MessagePackWriter writer, IActorRef? value, MessagePackSerializerOptions options) =>
        writer.Write(value is null ? null : Serialization.SerializedActorPath(value));

    public IActorRef? Deserialize(ref MessagePackReader reader, MessagePackSerializerOptions options) =>
        reader.ReadString() is { } path ? system.Provider.ResolveActorRef(path) : null;
}

/// <summary>A slice as four elements of an array.</summary>
internal sealed class SliceRangeFormatter : IMessagePackFormatter<SliceRange>
{
    public static readonly SliceRangeFormatter Instance = new();

    public void Serialize(ref MessagePackWriter writer, SliceRange value, MessagePackSerializerOptions options)
    {
        writer.WriteArrayHeader(4);
        writer.Write(value.First);
        writer.Write(value.Last);
        writer.Write(value.HasEmbedding);
        writer.Write(value.HasHead);
    }

    public SliceRange Deserialize(ref MessagePackReader reader, MessagePackSerializerOptions options)
    {
        ControlFormat.ExpectArray(ref reader, 4, "a slice");
        return new SliceRange(reader.ReadInt32(), reader.ReadInt32(), reader.ReadBoolean(), reader.ReadBoolean());
    }
}

/// <summary>A token and its log-probability as two elements of an array.</summary>
internal sealed class TokenLogProbFormatter : IMessagePackFormatter<TokenLogProb>
{
    public static readonly TokenLogProbFormatter Instance = new();

    public void Serialize(ref MessagePackWriter writer, TokenLogProb value, MessagePackSerializerOptions options)
    {
        writer.WriteArrayHeader(2);
        writer.Write(value.Token);
        writer.Write(value.LogProb);
    }

    public TokenLogProb Deserialize(ref MessagePackReader reader, MessagePackSerializerOptions options)
    {
        ControlFormat.ExpectArray(ref reader, 2, "a token's log-probability");
        return new TokenLogProb(reader.ReadInt32(), reader.ReadSingle());
    }
}

/// <summary>Sampling parameters, written and checked as in a step's frame.</summary>
internal sealed class SamplingParametersFormatter : IMessagePackFormatter<SamplingParameters?>
{
    public static readonly SamplingParametersFormatter Instance = new();

    public void Serialize(ref MessagePackWriter writer, SamplingParameters? value, MessagePackSerializerOptions options)
    {
        if (value is null)
            writer.WriteNil();
        else
            FrameCodec.WriteSampling(ref writer, value);
    }

    public SamplingParameters? Deserialize(ref MessagePackReader reader, MessagePackSerializerOptions options) =>
        FrameCodec.ReadSampling(ref reader);
}

internal static class ControlFormat
{
    public static void ExpectArray(ref MessagePackReader reader, int count, string what)
    {
        int found = reader.ReadArrayHeader();
        if (found != count)
            throw new MessagePackSerializationException($"{what} has {count} elements, not {found}");
    }
}
