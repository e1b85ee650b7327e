using Llama3Cluster.Actors.Inference;

namespace Llama3Cluster.Gateway.Tests.Fakes;

/// <summary>Pictures of a cluster.</summary>
internal static class FakeCluster
{
    public static ClusterSnapshot Ready { get; } = new(
        FakeInferenceService.ModelName,
        true,
        [
            new NodeSnapshot("10.0.0.1:9090", ["gateway", "stage"], "up", [new DeviceSnapshot(0, "cpu", 16L << 30)], null),
            new NodeSnapshot("10.0.0.2:9090", ["stage"], "up", [new DeviceSnapshot(0, "cuda:0", 80L << 30)], null),
        ],
        [
            new ReplicaSnapshot(
                "r0",
                4,
                "active",
                [
                    new StageSnapshot("10.0.0.1:9090", "cpu", 0, 12, true, false, "active", 1),
                    new StageSnapshot("10.0.0.2:9090", "cuda:0", 12, 32, false, true, "active", 1),
                ],
                2048,
                512,
                2,
                1,
                37.5,
                123456),
        ],
        ["cuda:0 of 10.0.0.2:9090 is faster: it takes 20 of 32 layers"]);

    public static ClusterSnapshot Loading { get; } = Ready with
    {
        Ready = false,
        Replicas = [Ready.Replicas[0] with { State = "loading", Stages = [.. Ready.Replicas[0].Stages.Select(LoadingStage)] }],
    };

    private static StageSnapshot LoadingStage(StageSnapshot stage, int index) =>
        stage with { State = "loading", LoadedFraction = index * 0.5 };
}
