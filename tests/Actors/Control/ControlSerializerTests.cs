using System.Runtime.Serialization;
using Akka.Actor;
using Akka.TestKit.Xunit2;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Sampling;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Actors.Tests.Control;

public sealed class ControlSerializerTests : TestKit
{
    private readonly ControlSerializer _serializer;

    public ControlSerializerTests() => _serializer = new ControlSerializer((ExtendedActorSystem)Sys);

    [Fact]
    public void Every_message_must_come_back_as_it_was()
    {
        object[] samples = Samples();
        Assert.Equal(ControlSerializer.KnownMessages.OrderBy(type => type.Name), samples.Select(sample => sample.GetType()).OrderBy(type => type.Name));
        foreach (object sample in samples)
        {
            object back = _serializer.FromBinary(_serializer.ToBinary(sample), _serializer.Manifest(sample));
            Assert.Equivalent(sample, back, strict: true);
        }
    }

    [Fact]
    public void Every_message_between_nodes_must_be_known()
    {
        Type[] messages = [.. typeof(IClusterMessage).Assembly.GetTypes().Where(type => type.IsClass && typeof(IClusterMessage).IsAssignableFrom(type))];
        Assert.Empty(messages.Except(ControlSerializer.KnownMessages));
    }

    [Fact]
    public void A_manifest_must_be_short_and_name_no_type() =>
        Assert.All(Samples(), sample => Assert.Matches("^[a-z]{2}[0-9]$", _serializer.Manifest(sample)));

    [Fact]
    public void An_unknown_manifest_must_be_refused() =>
        Assert.Contains("zz9", Assert.Throws<SerializationException>(() => _serializer.FromBinary([0xC0], "zz9")).Message, StringComparison.Ordinal);

    [Fact]
    public void Bytes_after_a_message_must_be_refused()
    {
        var cancel = new GenerationMessages.Cancel("g");
        Assert.Throws<SerializationException>(() => _serializer.FromBinary([.. _serializer.ToBinary(cancel), 1], _serializer.Manifest(cancel)));
    }

    [Fact]
    public void Sampling_parameters_out_of_range_must_be_refused()
    {
        var start = new GenerationMessages.Start("g", "r", [1], new SamplingParameters { Temperature = 1000 }, 10, [], TestActor);

        var exception = Assert.Throws<SerializationException>(() => _serializer.FromBinary(_serializer.ToBinary(start), "gs1"));

        Assert.Contains("temperature is 1000", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Mutated_bytes_must_end_in_a_message_or_a_clean_error()
    {
        var random = new Random(7);
        foreach (object sample in Samples())
        {
            byte[] good = _serializer.ToBinary(sample);
            for (int i = 0; i < 300; i++)
            {
                byte[] bytes = [.. good];
                for (int flips = random.Next(1, 5); flips > 0; flips--)
                    bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
                bytes = bytes[..random.Next(1, bytes.Length + 1)];
                Exception? error = Record.Exception(() => _serializer.FromBinary(bytes, _serializer.Manifest(sample)));
                Assert.True(error is null or SerializationException, $"{sample.GetType().Name}: {error}");
            }
        }
    }

    private object[] Samples()
    {
        var limits = new StageMessages.ReplicaLimits(256, 64, 512, 2048, KvFormat.BF16, ActivationFormat.F32);
        var slice = new SliceRange(3, 7, false, true);
        var assignment = new PlacementMessages.StageAssignment("127.0.0.1:1", "127.0.0.1", 2, 0, "cpu", slice);
        var offer = new PlacementMessages.NodeOffer("127.0.0.1:1", -5, "127.0.0.1", 2, 1, 3, "ab", [new PlacementMessages.DeviceOffer(0, "cpu", 1L << 40, 1e10)],
            new PlacementMessages.WeightsReport(1L << 33, 5, 1L << 35));
        var source = new WeightMessages.WeightSource("127.0.0.1:1", -5, "127.0.0.1", 3, true);
        var sampling = new SamplingParameters
        {
            Temperature = 0.5f,
            TopK = 40,
            TopP = 0.9f,
            MinP = 0.05f,
            RepetitionPenalty = 1.1f,
            FrequencyPenalty = -1,
            PresencePenalty = 2,
            LogitBias = new Dictionary<int, float> { [5] = -100, [7] = 1.5f },
            Seed = ulong.MaxValue,
            TopLogProbs = 3,
        };
        var start = new GenerationMessages.Start("g", "r", [1, 2], sampling, 10, [0, 2], TestActor, true, "owner", true, "chat");
        var token = new LogMessages.LogToken(77, -0.5f, [new TokenLogProb(77, -0.5f)], 16);
        var end = new GenerationMessages.Completed("g", FinishReason.Length, 10, 16);
        return
        [
            new StageMessages.PrepareStage("r", 9, 1, 0, slice, limits, TestActor),
            new StageMessages.StageLoading("r", 9, 1, 0.25),
            new StageMessages.StagePrepared("r", 9, 1, "127.0.0.1", 5),
            new StageMessages.ConnectStage("r", 9, 1, -1, "127.0.0.1:1", "127.0.0.1", 5),
            new StageMessages.StageConnected("r", 9, 1),
            new StageMessages.StageFailed("r", 9, 1, "why"),
            new StageMessages.RetireStages("r", 9),
            start,
            new GenerationMessages.Attach("g", "owner", 3, TestActor),
            new GenerationMessages.Attached("g", 17, "chat"),
            new GenerationMessages.Detached("g", true),
            new LogMessages.LogBatch(7, 8, [new LogMessages.LogOpening(1, start with { Listener = null })], [new LogMessages.LogEntry(1, 0, token)], [new LogMessages.LogEnding(1, 1, end)], [2]),
            new LogMessages.LogAck(7, 8, [1, 2]),
            new LogMessages.FindLog("g"),
            new LogMessages.LogFound("g", new LogMessages.LogSnapshot(start with { Listener = null }, [token], end)),
            new StageMessages.ProbeHost(5),
            new StageMessages.HostAlive("127.0.0.1:1", 5, 2, 30, 40, [new StageMessages.PathReport("127.0.0.1:2", 0.02)]),
            new GenerationMessages.Cancel("g"),
            new GenerationMessages.Enqueue("r", "g", [1, 2], [3], sampling, 10, [], TestActor),
            new GenerationMessages.Enqueued("g"),
            new GenerationMessages.Withdraw("r", "g"),
            new GenerationMessages.TokenSampled("g", 4, 77, -0.5f, [new TokenLogProb(77, -0.5f), new TokenLogProb(3, -2)], 16),
            end,
            new GenerationMessages.Aborted("g", FailureCode.QueueFull, "full", 3),
            offer,
            new PlacementMessages.AssignPlan("r", 9, [assignment], limits, "", true, false),
            new PlacementMessages.ReplicaBroken("r", 9, true, "why"),
            new PlacementMessages.ReplicaStarted("r"),
            new PlacementMessages.ReplicaActive("r", 9),
            new PlacementMessages.NodeLeaving("127.0.0.1:1"),
            new PlacementMessages.NodeRefused("why"),
            new PlacementMessages.ReplicaStatus("r", 9, "active", true, "", [new PlacementMessages.StageStatus(assignment, "ready", 1)], 10, 2, 1, 0, 256, 12.5, 1000, 3, 17),
            source,
            new WeightMessages.DescribeModel(),
            new WeightMessages.ModelOffer("demo", "ab", [source]),
            new PlacementMessages.PlacementStatus([new PlacementMessages.NodeStatus(offer, "none", 4, 5, 6)], ["r"], ["because"]),
        ];
    }
}
