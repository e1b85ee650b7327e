using System.Buffers;
using System.Collections.Frozen;
using System.Runtime.Serialization;
using Akka.Actor;
using Akka.Serialization;
using MessagePack;
using MessagePack.Formatters;
using MessagePack.Resolvers;

namespace Llama3Cluster.Actors.Protocol;

/// <summary>
/// Writes the messages that cross nodes: MessagePack, under short manifests whose digit is the message's version. A manifest
/// names a message, never a type to load.
/// </summary>
public sealed class ControlSerializer : SerializerWithStringManifest
{
    private static readonly FrozenDictionary<string, Type> Types = new Dictionary<string, Type>
    {
        ["sp1"] = typeof(StageMessages.PrepareStage),
        ["sl1"] = typeof(StageMessages.StageLoading),
        ["sr1"] = typeof(StageMessages.StagePrepared),
        ["sc1"] = typeof(StageMessages.ConnectStage),
        ["su1"] = typeof(StageMessages.StageConnected),
        ["sf1"] = typeof(StageMessages.StageFailed),
        ["sx1"] = typeof(StageMessages.RetireStages),
        ["sq1"] = typeof(StageMessages.ProbeHost),
        ["sa1"] = typeof(StageMessages.HostAlive),
        ["gs1"] = typeof(GenerationMessages.Start),
        ["gl1"] = typeof(GenerationMessages.Attach),
        ["gu1"] = typeof(GenerationMessages.Attached),
        ["gn1"] = typeof(GenerationMessages.Detached),
        ["gc1"] = typeof(GenerationMessages.Cancel),
        ["ge1"] = typeof(GenerationMessages.Enqueue),
        ["gq1"] = typeof(GenerationMessages.Enqueued),
        ["gw1"] = typeof(GenerationMessages.Withdraw),
        ["gt1"] = typeof(GenerationMessages.TokenSampled),
        ["gd1"] = typeof(GenerationMessages.Completed),
        ["ga1"] = typeof(GenerationMessages.Aborted),
        ["lb1"] = typeof(LogMessages.LogBatch),
        ["la1"] = typeof(LogMessages.LogAck),
        ["lf1"] = typeof(LogMessages.FindLog),
        ["lr1"] = typeof(LogMessages.LogFound),
        ["po1"] = typeof(PlacementMessages.NodeOffer),
        ["pa1"] = typeof(PlacementMessages.AssignPlan),
        ["pb1"] = typeof(PlacementMessages.ReplicaBroken),
        ["pt1"] = typeof(PlacementMessages.ReplicaStarted),
        ["pu1"] = typeof(PlacementMessages.ReplicaActive),
        ["pl1"] = typeof(PlacementMessages.NodeLeaving),
        ["pn1"] = typeof(PlacementMessages.NodeRefused),
        ["pr1"] = typeof(PlacementMessages.ReplicaStatus),
        ["ps1"] = typeof(PlacementMessages.PlacementStatus),
        ["ws1"] = typeof(WeightMessages.WeightSource),
        ["wd1"] = typeof(WeightMessages.DescribeModel),
        ["wo1"] = typeof(WeightMessages.ModelOffer),
    }.ToFrozenDictionary();

    private static readonly FrozenDictionary<Type, string> Manifests = Types.ToFrozenDictionary(pair => pair.Value, pair => pair.Key);

    private readonly MessagePackSerializerOptions _options;

    /// <summary>Akka makes one for every actor system.</summary>
    public ControlSerializer(ExtendedActorSystem system)
        : base(system)
    {
        IMessagePackFormatter[] formatters = [new ActorRefFormatter(system), SamplingParametersFormatter.Instance, SliceRangeFormatter.Instance, TokenLogProbFormatter.Instance];
        _options = MessagePackSerializerOptions.Standard
            .WithSecurity(MessagePackSecurity.UntrustedData)
            .WithResolver(CompositeResolver.Create(formatters, [StandardResolver.Instance]));
    }

    /// <summary>The messages that it knows.</summary>
    public static IEnumerable<Type> KnownMessages => Types.Values;

    /// <inheritdoc/>
    public override int Identifier => 4201;

    /// <inheritdoc/>
    public override string Manifest(object o) => Manifests.TryGetValue(o.GetType(), out string? manifest)
        ? manifest
        : throw new SerializationException($"{o.GetType()} is not a message between nodes; add it to {nameof(ControlSerializer)}");

    /// <inheritdoc/>
    public override byte[] ToBinary(object obj) => MessagePackSerializer.Serialize(obj.GetType(), obj, _options);

    /// <inheritdoc/>
    public override object FromBinary(byte[] bytes, string manifest)
    {
        if (!Types.TryGetValue(manifest, out Type? type))
            throw new SerializationException($"a node sent a message \"{manifest}\" that this release does not know; run the same release on all nodes");
        try
        {
            var reader = new MessagePackReader(new ReadOnlySequence<byte>(bytes));
            object message = MessagePackSerializer.Deserialize(type, ref reader, _options)
                ?? throw new SerializationException($"message \"{manifest}\" is empty");
            return reader.End ? message : throw new SerializationException($"message \"{manifest}\" has {bytes.Length - reader.Consumed} bytes too many");
        }
        catch (MessagePackSerializationException exception)
        {
            throw new SerializationException($"message \"{manifest}\" is malformed: {exception.GetBaseException().Message}", exception);
        }
    }
}
