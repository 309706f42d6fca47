//! A cluster as DescribeClusters shows it.

use crate::app::App;
use crate::query::Xml;
use crate::world::{Cluster, ClusterStatus, Place, World};

use super::clusters::cluster_arn;

/// Writes `<Cluster>…</Cluster>`.
pub(super) fn write(xml: &mut Xml, app: &App, world: &World, place: &Place, cluster: &Cluster) {
    let Some(warehouse) = world.warehouses.get(&cluster.namespace_id) else { return };
    let setting = |name: &str| cluster.settings.get(name).map(String::as_str);
    xml.element("Cluster", |xml| {
        xml.text("ClusterIdentifier", &cluster.identifier);
        xml.text("NodeType", &cluster.node_type);
        xml.text("ClusterStatus", cluster.status.as_str());
        xml.text("ClusterAvailabilityStatus", availability(cluster.status));
        xml.text("MasterUsername", &warehouse.admin);
        xml.text("DBName", &warehouse.database);
        if let Some(server) = &warehouse.server {
            xml.element("Endpoint", |xml| {
                xml.text("Address", "127.0.0.1");
                xml.text("Port", &server.port().to_string());
            });
        }
        xml.text("ClusterCreateTime", &cluster.created.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string());
        xml.text(
            "AutomatedSnapshotRetentionPeriod",
            setting("AutomatedSnapshotRetentionPeriod").unwrap_or("1"),
        );
        xml.text("ManualSnapshotRetentionPeriod", setting("ManualSnapshotRetentionPeriod").unwrap_or("-1"));
        xml.element("ClusterSecurityGroups", |_| {});
        xml.element("VpcSecurityGroups", |xml| {
            for group in &cluster.security_groups {
                xml.element("VpcSecurityGroup", |xml| {
                    xml.text("VpcSecurityGroupId", group);
                    xml.text("Status", "active");
                });
            }
        });
        xml.element("ClusterParameterGroups", |xml| {
            xml.element("ClusterParameterGroup", |xml| {
                xml.text(
                    "ParameterGroupName",
                    setting("ClusterParameterGroupName").unwrap_or("default.redshift-1.0"),
                );
                xml.text("ParameterApplyStatus", "in-sync");
            });
        });
        xml.option("ClusterSubnetGroupName", setting("ClusterSubnetGroupName"));
        xml.option("AvailabilityZone", setting("AvailabilityZone"));
        xml.option("PreferredMaintenanceWindow", setting("PreferredMaintenanceWindow"));
        xml.element("PendingModifiedValues", |xml| {
            if cluster.pending_password {
                xml.text("MasterUserPassword", "****");
            }
        });
        xml.text("ClusterVersion", setting("ClusterVersion").unwrap_or("1.0"));
        xml.text("AllowVersionUpgrade", setting("AllowVersionUpgrade").unwrap_or("true"));
        xml.text("NumberOfNodes", &cluster.nodes.to_string());
        xml.text("PubliclyAccessible", setting("PubliclyAccessible").unwrap_or("false"));
        xml.text("Encrypted", setting("Encrypted").unwrap_or("true"));
        xml.option("KmsKeyId", setting("KmsKeyId"));
        xml.text("EnhancedVpcRouting", setting("EnhancedVpcRouting").unwrap_or("false"));
        let arn = cluster_arn(place, &cluster.identifier);
        xml.tags(world.tags.get(&arn).into_iter().flatten());
        xml.element("IamRoles", |xml| {
            for role in &warehouse.roles {
                if let Some(status) = role.status(app.settings.role_delay) {
                    xml.element("ClusterIamRole", |xml| {
                        xml.text("IamRoleArn", &role.arn);
                        xml.text("ApplyStatus", status);
                    });
                }
            }
        });
        xml.option("DefaultIamRoleArn", setting("DefaultIamRoleArn"));
        xml.text("MaintenanceTrackName", setting("MaintenanceTrackName").unwrap_or("current"));
        xml.text("ClusterNamespaceArn", &warehouse.arn);
        xml.text("MultiAZ", if setting("MultiAZ") == Some("true") { "Enabled" } else { "Disabled" });
    });
}

fn availability(status: ClusterStatus) -> &'static str {
    match status {
        ClusterStatus::Available => "Available",
        ClusterStatus::Paused => "Paused",
        ClusterStatus::Failed => "Failed",
        ClusterStatus::Creating
        | ClusterStatus::Pausing
        | ClusterStatus::Resuming
        | ClusterStatus::Deleting => "Unavailable",
    }
}
